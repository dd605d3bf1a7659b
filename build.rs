//! (kernels to come)
fn main() {}
