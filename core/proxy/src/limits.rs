//! Counting what a client address, or everybody, may have at once. Drop gives back.
