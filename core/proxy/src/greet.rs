//! greet.
