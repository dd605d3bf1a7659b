//! HDF5 files that others wrote, read without handing them to the C library in this process.
//!
//! The HDF5 library is C and believes what a file says of itself: a few flipped bytes make it read and write where it should not,
//! run for ever, or ask for all memory. Nothing that is checked beforehand excludes that, short of a second HDF5 library; so the
//! file is read in a **child process** ([`child`]): this same program, started again, which opens the file, answers
//! [`Question`]s through a pipe and has limits on its memory and its time. If it dies, that is an [`Error`] with
//! the path in it, like any other damage. What it answers is believed no more than a file would be: sizes are looked at before
//! memory is taken for them ([`crate::budget`]), and never more is read than was asked for.
//!
//! The other way, a child that looks at the whole file and lets the parent open it afterwards, was not taken: every chunk would be
//! read twice, and what did not crash the one process may crash the other, whose memory lies differently. The price of a
//! child is its start and a copy through a pipe: a whole `--dry-run` with an HDF5 mask takes 16 to 27 ms.
//!
//! [`File`], [`Group`] and [`Dataset`] look like those of the `hdf5` crate, for reading only. What the child does with the library
//! is one function (`answer.rs`). Whoever wants more than values finds out how they are stored ([`storage`]), where links lead
//! ([`links`]), and goes through thousands of files with one child ([`Opener`]). Where no program was named ([`read_in_children`]: the command line does, a test of the library
//! does not), that function is called here.
//!
//! Files that this process writes itself are opened with the `hdf5` crate, by [`crate::files::library`], or here by [`File::own`].
mod answer;
pub mod child;
pub mod links;
mod opener;
pub mod storage;
mod structure;
pub mod wire;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::budget::{self, OverBudget};
use crate::files;
use child::Child;
pub use opener::{Opened, Opener};
pub use wire::{DatasetFacts, Kind, Number};
use wire::{Question, Reply};

/// Why something cannot be read from an HDF5 file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What the library said, or what is not there.
    #[error("{0}")]
    Said(String),
    /// The library did not survive the file, or would not end.
    #[error("the file is damaged, or made to do harm: {0}")]
    Harmful(String),
    /// More than the memory that is allowed.
    #[error(transparent)]
    TooLarge(#[from] OverBudget),
    /// The system does not give it, or it is no file.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// No child could be started.
    #[error("no process can be started to read it in: {0}")]
    NoChild(String),
}

impl From<&str> for Error {
    fn from(words: &str) -> Error {
        Error::Said(words.into())
    }
}

impl From<String> for Error {
    fn from(words: String) -> Error {
        Error::Said(words)
    }
}

/// What is read, or why not.
pub type Result<T> = std::result::Result<T, Error>;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// From now on files are read in children; `program` must answer [`child::ARGUMENT`] with [`child::serve`].
pub fn read_in_children(program: PathBuf) {
    // The first call decides: there is one program.
    let _ = PROGRAM.set(program);
}

/// Who answers questions about a file: where it is neither the library here nor a child with it, as in tests of what is made of answers.
pub trait Answers: Send {
    /// Answers; numbers of the answer must fill `numbers`.
    ///
    /// # Errors
    /// What the library says, or that nothing can be said.
    fn ask(&mut self, question: &Question, numbers: &mut [u8]) -> Result<Reply>;

    /// Whether it can be asked again.
    fn is_alive(&self) -> bool {
        true
    }
}

impl Answers for answer::Library {
    fn ask(&mut self, question: &Question, numbers: &mut [u8]) -> Result<Reply> {
        self.answer_into(question, numbers)
    }
}

/// The library in this process: for files that are no stranger's.
pub fn library() -> impl Answers {
    answer::Library::default()
}

/// Who answers.
enum Line {
    Here(answer::Library),
    There(Child),
    Other(Box<dyn Answers>),
}

impl Line {
    fn new() -> Result<Line> {
        Ok(match PROGRAM.get() {
            Some(program) => Line::There(Child::start(program, child::PATIENCE)?),
            None => Line::Here(answer::Library::default()),
        })
    }

    fn ask(&mut self, request: &Question, numbers: &mut [u8]) -> Result<Reply> {
        match self {
            Line::Here(library) => library.answer_into(request, numbers),
            Line::There(child) => child.ask(request, numbers),
            Line::Other(answers) => answers.ask(request, numbers),
        }
    }

    fn is_alive(&self) -> bool {
        match self {
            Line::Here(_) => true,
            Line::There(child) => child.is_alive(),
            Line::Other(answers) => answers.is_alive(),
        }
    }
}

/// A file, open for reading.
#[derive(Clone)]
pub struct File {
    line: Arc<Mutex<Line>>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("File")
    }
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is not an HDF5 file, or one that cannot be read.
    pub fn open(path: &Path) -> Result<File> {
        // The child opens it by name, without waiting for a FIFO either; the better words are to be had here.
        files::open(path).map_err(|cause| Error::Unreadable(cause.to_string()))?;
        File::opened(Line::new()?, path)
    }

    /// Opens a file that this process has just written, in this process.
    ///
    /// # Errors
    /// When it is not an HDF5 file.
    pub fn own(file: &std::fs::File) -> Result<File> {
        let path = files::by_descriptor(file);
        File::opened(Line::Here(answer::Library::default()), Path::new(&path))
    }

    /// Opens a file in a child of its own.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn open_in(child: Child, path: &Path) -> Result<File> {
        File::opened(Line::There(child), path)
    }

    fn opened(line: Line, path: &Path) -> Result<File> {
        let file = File { line: Arc::new(Mutex::new(line)) };
        file.ask(&Question::open(path), &mut [])?;
        Ok(file)
    }

    /// Gives the child back, if nobody else holds the file and it is alive: it can open another.
    pub fn into_child(self) -> Option<Child> {
        let line = Arc::into_inner(self.line)?.into_inner().unwrap_or_else(PoisonError::into_inner);
        match line {
            Line::There(child) if child.is_alive() => Some(child),
            Line::There(_) | Line::Here(_) | Line::Other(_) => None,
        }
    }

    /// Whether it can be asked again: not when it did harm.
    pub fn is_readable(&self) -> bool {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).is_alive()
    }

    /// The group that holds all others.
    pub fn root(&self) -> Group {
        Group { file: self.clone(), path: String::new() }
    }

    /// A group.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn group(&self, name: &str) -> Result<Group> {
        self.root().group(name)
    }

    /// A dataset.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn dataset(&self, name: &str) -> Result<Dataset> {
        self.root().dataset(name)
    }

    /// Whether there is a group or a dataset of that name.
    pub fn link_exists(&self, name: &str) -> bool {
        self.root().link_exists(name)
    }

    fn ask(&self, request: &Question, numbers: &mut [u8]) -> Result<Reply> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).ask(request, numbers)
    }
}

/// A group of a file.
#[derive(Debug, Clone)]
pub struct Group {
    file: File,
    path: String,
}

impl Group {
    fn inside(&self, name: &str) -> String {
        match self.path.is_empty() || name.starts_with('/') {
            true => name.to_owned(),
            false => format!("{}/{name}", self.path),
        }
    }

    fn look(&self, name: &str) -> Result<Reply> {
        self.file.ask(&Question::Look { path: self.inside(name) }, &mut [])
    }

    /// A group inside it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn group(&self, name: &str) -> Result<Group> {
        match self.look(name)? {
            Reply::Group => Ok(Group { file: self.file.clone(), path: self.inside(name) }),
            Reply::Dataset(_) => Err(format!("`{name}` is a dataset, not a group").into()),
            _ => Err(format!("there is no group `{name}`").into()),
        }
    }

    /// A dataset inside it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn dataset(&self, name: &str) -> Result<Dataset> {
        match self.look(name)? {
            Reply::Dataset(facts) => {
                Ok(Dataset { file: self.file.clone(), path: self.inside(name), name: name.to_owned(), facts })
            }
            Reply::Group => Err(format!("`{name}` is a group, not a dataset").into()),
            _ => Err(format!("there is no dataset `{name}`").into()),
        }
    }

    /// Whether there is a group or a dataset of that name.
    pub fn link_exists(&self, name: &str) -> bool {
        matches!(self.look(name), Ok(Reply::Group | Reply::Dataset(_)))
    }

    /// Names of what is in it.
    ///
    /// # Errors
    /// What the library says.
    pub fn member_names(&self) -> Result<Vec<String>> {
        texts(self.file.ask(&Question::Members { path: self.path.clone() }, &mut [])?)
    }

    /// An attribute that is a text or a list of texts.
    ///
    /// # Errors
    /// When there is none, or it is something else.
    pub fn attribute_texts(&self, name: &str) -> Result<Vec<String>> {
        self.file.attribute_texts(&self.path, name)
    }

    /// An attribute that is a number or a list of numbers.
    ///
    /// # Errors
    /// When there is none, or it is something else.
    pub fn attribute_numbers(&self, name: &str) -> Result<Vec<f64>> {
        self.file.attribute_numbers(&self.path, name)
    }
}

impl File {
    fn attribute_texts(&self, path: &str, name: &str) -> Result<Vec<String>> {
        texts(self.ask(&Question::AttributeTexts { path: path.to_owned(), name: name.to_owned() }, &mut [])?)
    }
}

impl File {
    fn attribute_numbers(&self, path: &str, name: &str) -> Result<Vec<f64>> {
        let request = Question::AttributeNumbers { path: path.to_owned(), name: name.to_owned() };
        match self.ask(&request, &mut [])? {
            Reply::Numbers(bits) => Ok(bits.into_iter().map(f64::from_bits).collect()),
            _ => Err(format!("`{name}` is not a list of numbers").into()),
        }
    }
}

fn texts(reply: Reply) -> Result<Vec<String>> {
    match reply {
        Reply::Texts(texts) => Ok(texts),
        _ => Err("no texts came".into()),
    }
}

/// Something whose attributes can be read.
pub trait Attributes {
    /// A text attribute; `None` when there is none or it is not a text.
    fn attribute(&self, name: &str) -> Option<String>;
}

impl Attributes for Group {
    fn attribute(&self, name: &str) -> Option<String> {
        self.attribute_texts(name).ok()?.into_iter().next()
    }
}

impl Attributes for Dataset {
    fn attribute(&self, name: &str) -> Option<String> {
        self.file.attribute_texts(&self.path, name).ok()?.into_iter().next()
    }
}

/// A dataset of a file.
#[derive(Debug, Clone)]
pub struct Dataset {
    file: File,
    path: String,
    name: String,
    facts: DatasetFacts,
}

impl Dataset {
    /// Its size along each dimension; empty for a single value.
    pub fn shape(&self) -> Vec<usize> {
        self.facts.shape.clone()
    }

    /// Its name, from the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// An attribute that is a number or a list of numbers.
    ///
    /// # Errors
    /// When there is none, or it is something else.
    pub fn attribute_numbers(&self, name: &str) -> Result<Vec<f64>> {
        self.file.attribute_numbers(&self.path, name)
    }

    /// What is known of it.
    pub fn facts(&self) -> &DatasetFacts {
        &self.facts
    }

    /// All values, converted to `T`; in C order.
    ///
    /// # Errors
    /// When they are not numbers, more than memory allows, or cannot be read.
    pub fn read_raw<T: Number>(&self) -> Result<Vec<T>> {
        self.read_part(&self.facts.shape.iter().map(|&size| 0..size).collect::<Vec<_>>())
    }

    /// A single value.
    ///
    /// # Errors
    /// As [`Dataset::read_raw`], or when there are several.
    pub fn read_scalar<T: Number>(&self) -> Result<T> {
        match self.read_raw()?[..] {
            [value] if self.facts.shape.is_empty() => Ok(value),
            _ => Err(format!("`{}` is not a single value", self.name).into()),
        }
    }

    /// The values inside a range of each dimension, converted to `T`; in C order.
    ///
    /// # Errors
    /// As [`Dataset::read_raw`], or when the ranges do not lie inside.
    pub fn read_part<T: Number>(&self, part: &[Range<usize>]) -> Result<Vec<T>> {
        let inside = part.len() == self.facts.shape.len()
            && part.iter().zip(&self.facts.shape).all(|(r, &size)| r.start <= r.end && r.end <= size);
        if !inside {
            return Err(format!("`{}` has the shape {:?}, not {part:?}", self.name, self.facts.shape).into());
        }
        if !matches!(self.facts.kind, Kind::Boolean | Kind::Integer | Kind::Float) {
            return Err(format!("`{}` holds {}, not numbers", self.name, self.facts.kind).into());
        }
        let sizes: Vec<usize> = part.iter().map(Range::len).collect();
        budget::allow(
            format_args!("`{}`, {} values,", self.name, shown(&sizes)),
            budget::bytes_of(&sizes, size_of::<T>()),
        )?;
        // No overflow: as many bytes are allowed.
        let mut values = vec![T::default(); sizes.iter().product()];
        let part = part.iter().map(|range| (range.start, range.end)).collect();
        let request = Question::Numbers { path: self.path.clone(), element: T::ELEMENT, part };
        self.file.ask(&request, wire::bytes_mut(&mut values))?;
        Ok(values)
    }

    /// All values that are texts, of variable or fixed length.
    ///
    /// # Errors
    /// When they are not texts, or cannot be read.
    pub fn read_texts(&self) -> Result<Vec<String>> {
        texts(self.file.ask(&Question::Texts { path: self.path.clone() }, &mut [])?)
    }
}

/// `930 x 1000`, or `1`.
fn shown(sizes: &[usize]) -> String {
    match sizes {
        [] => "1".into(),
        _ => sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x "),
    }
}
