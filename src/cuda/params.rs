//! `cuda/params.h` as Rust sees it: parameter structures and constants, written by bindgen at build time.
//!
//! The header is the only place where they are defined. bindgen's own tests check size and offset of every field; the
//! header itself asserts the sizes when nvcc compiles it.
#![allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals, unused)]
#![allow(clippy::all, clippy::undocumented_unsafe_blocks)]

include!(concat!(env!("OUT_DIR"), "/params.rs"));
