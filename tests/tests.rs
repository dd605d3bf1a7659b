//! One integration-test binary: each file is the tests of one part, named by the property it holds.
mod cbf;
mod codec;
mod cuda;
mod engine;
mod geometry;
mod integrate;
mod listing;
mod output;
mod simulate;
