//! Some of the frames of a source: those of a part, those that are not there yet.
//!
//! Which of the files that were found are a scan's frames at all is [`selection`](super::selection)'s to say. Here ids stay what they are: a
//! frame is written to its own row, whichever others are walked. A ticket of which only some frames are wanted
//! becomes one for each run of them, so whoever reads it still gives every id that it has. Frames that are not wanted are not read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::{About, Next, Place, Reader, Source, SourceError, Ticket};
use crate::frame::SlotPool;

/// Tickets that are passed over before whoever asked may look around: a source without an end may have none that is wanted.
const PASSED_OVER: usize = 1000;

/// Which frames are wanted, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedIds {
    /// Of these…
    pub ids: Range<usize>,
    /// …those that are not done: `true` at the id of one that is.
    pub done: Vec<bool>,
}

impl Default for WantedIds {
    fn default() -> WantedIds {
        WantedIds { ids: 0..usize::MAX, done: Vec::new() }
    }
}

impl WantedIds {
    /// All but those that are done.
    pub fn all_but(done: Vec<bool>) -> WantedIds {
        WantedIds { done, ..WantedIds::default() }
    }

    /// Whether a frame is.
    pub fn has(&self, id: usize) -> bool {
        self.ids.contains(&id) && !self.done.get(id).is_some_and(|done| *done)
    }

    /// How many are of frames with these ids.
    pub fn count(&self, ids: Range<usize>) -> usize {
        let (first, end) = (self.ids.start.max(ids.start), self.ids.end.min(ids.end));
        // Beyond those of which anything is known none is done.
        let known = end.min(self.done.len()).max(first);
        (first..known).filter(|id| self.has(*id)).count() + end.saturating_sub(known)
    }

    /// Runs of wanted ids.
    fn runs(&self, ids: Range<usize>) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for id in ids.filter(|id| self.has(*id)) {
            match runs.last_mut() {
                Some(run) if run.end == id => run.end += 1,
                _ => runs.push(id..id + 1),
            }
        }
        runs
    }
}

/// Passes on the frames that are wanted.
pub struct Select {
    inner: Box<dyn Source>,
    wanted: WantedIds,
    /// What is left of a ticket.
    left: VecDeque<Ticket>,
    given: usize,
    /// As many as there can be, once it is known.
    most: Option<usize>,
    about: Option<Arc<About>>,
}

impl Select {
    /// Those of `inner`. One that knows how many frames it has gives them the ids from 0 on: then it is known how many are wanted, and the
    /// end comes with the last of them.
    pub fn new(inner: Box<dyn Source>, wanted: WantedIds) -> Select {
        let open_end = wanted.ids.end == usize::MAX;
        let most = (!open_end).then(|| wanted.count(0..usize::MAX));
        Select { inner, wanted, left: VecDeque::new(), given: 0, most, about: None }
    }

    /// Takes a ticket apart.
    fn split(&mut self, ticket: Ticket) {
        let runs = self.wanted.runs(ticket.ids.clone());
        let Ticket { ids, place } = ticket;
        self.left.extend(runs.into_iter().map(|run| {
            let place = match &place {
                Place::File(path) => Place::File(Arc::clone(path)),
                Place::Listed(number) => Place::Listed(*number),
                Place::Held { slot, parts } => Place::Held {
                    slot: Arc::clone(slot),
                    parts: parts[run.start - ids.start..run.end - ids.start].to_vec(),
                },
            };
            Ticket { ids: run, place }
        }));
    }
}

impl Source for Select {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        if self.about.is_none()
            && let Some(about) = self.inner.about()?
        {
            let count = about.count.map(|count| self.wanted.count(0..count));
            self.most = count.or(self.most);
            self.about = Some(Arc::new(About { count, ..(*about).clone() }));
        }
        Ok(self.about.clone())
    }

    fn next(&mut self, packed: &SlotPool) -> Result<Next, SourceError> {
        for _ in 0..PASSED_OVER {
            if let Some(ticket) = self.left.pop_front() {
                self.given += ticket.ids.len();
                return Ok(Next::Read(ticket));
            }
            if self.most.is_some_and(|most| self.given >= most) {
                return Ok(Next::End);
            }
            match self.inner.next(packed)? {
                Next::Read(ticket) => self.split(ticket),
                Next::Bad(bad) if self.wanted.has(bad.id.0) => {
                    self.given += 1;
                    return Ok(Next::Bad(bad));
                }
                Next::Bad(_) => {}
                other => return Ok(other),
            }
        }
        Ok(Next::Quiet)
    }

    fn reader(&self) -> Box<dyn Reader> {
        self.inner.reader()
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(Select::new(self.inner.again()?, self.wanted.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_counted_as_are_there() {
        let done = vec![true, false, true, true, false, false, true];
        for ids in [0..usize::MAX, 0..5, 3..20, 5..5, 8..9, 100..200] {
            for done in [vec![], done.clone(), vec![true; 40]] {
                let wanted = WantedIds { ids: ids.clone(), done };
                for within in [0..0, 0..1, 0..7, 2..9, 0..31, 4..150] {
                    let counted = within.clone().filter(|id| wanted.has(*id)).count();
                    assert_eq!(wanted.count(within.clone()), counted, "{wanted:?} within {within:?}");
                    let runs = wanted.runs(within.clone());
                    assert_eq!(runs.iter().map(Range::len).sum::<usize>(), counted, "{wanted:?}");
                    assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{runs:?}");
                }
            }
        }
        assert_eq!(WantedIds { ids: 7..1000, ..WantedIds::default() }.count(0..usize::MAX), 993);
    }
}
