//! Who may call whom, what is called how, how long a file may be, and what stands beside what (ARCHITECTURE.md, "Floors"): a
//! guard a file, each with a test that shows that it can fail.

mod circles;
mod doors;
mod exceptions;
mod floors;
mod homes;
mod lengths;
mod mirror;
mod names;
mod paths;
mod text;
mod tree;
