//! The edge's side of the API, against a control plane that the tests play by hand.

mod control {
    mod balance;
    mod edge;
    mod fake;
    mod health;
    mod keys;
    mod lookups;
    mod pools;
    mod sessions;
    mod verifies;
}
