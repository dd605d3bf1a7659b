//! Tickets that are all known: a list of them, as a source. Its readers are somebody's who knows the bytes.

use std::sync::Arc;

use super::{About, Next, Reader, Source, SourceError, Ticket};
use crate::frame::SlotPool;

/// Makes a reader.
pub type MakeReader = Box<dyn Fn() -> Box<dyn Reader> + Send>;

/// A list of tickets.
pub struct Tickets {
    about: Arc<About>,
    left: std::vec::IntoIter<Ticket>,
    reader: MakeReader,
}

impl Tickets {
    /// These tickets, in this order.
    pub fn new(about: Arc<About>, tickets: Vec<Ticket>, reader: MakeReader) -> Tickets {
        Tickets { about, left: tickets.into_iter(), reader }
    }
}

impl Source for Tickets {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        Ok(Some(Arc::clone(&self.about)))
    }

    fn next(&mut self, _: &SlotPool) -> Result<Next, SourceError> {
        Ok(self.left.next().map_or(Next::End, Next::Read))
    }

    fn reader(&self) -> Box<dyn Reader> {
        (self.reader)()
    }
}
