//! A master whose images are all missing: what it says all the same, and where its images should be.

use std::path::Path;
use std::sync::Arc;

use super::facts::EntryWords;
use super::find::{self, Piece};
use super::index::{Holder, Indexer};
use super::list::planned;
use super::shelf::{NotThere, Shelf};
use crate::frame::{Column, Shape};
use crate::h5::Opener;
use crate::source::facts::DetectorFacts;

/// Of more images than this, numbers are not looked for.
const MOST_PLANNED: usize = 1 << 20;

/// What a master without images says.
#[derive(Debug)]
pub struct BareMaster {
    /// How many images were to be taken.
    pub planned: Option<usize>,
    /// Size of an image, as the detector says it.
    pub shape: Option<Shape>,
    /// What is said of detector and beam.
    pub facts: DetectorFacts,
    /// From which count on pixels are saturated.
    pub count_cutoff: Option<f64>,
    /// When the first image was taken, as it is written; empty when it is not.
    pub date: String,
    /// Numbers of each image.
    pub columns: Vec<Column>,
    /// Where images should be, and why they are not: a sentence each.
    pub missing: Vec<String>,
}

impl BareMaster {
    /// Reads a master; `None` when this is none, or has images.
    pub fn open(path: &Path) -> Option<BareMaster> {
        BareMaster::opened_by(Opener::default(), path)
    }

    /// The same, with files that `opener` opens.
    pub fn opened_by(opener: Opener, path: &Path) -> Option<BareMaster> {
        let file: Arc<Path> = path.into();
        let mut shelf = Shelf::new(opener);
        let images = find::images(&mut shelf, &file, None).ok()?;
        let mut indexer = Indexer::new(&mut shelf);
        let mut missing = Vec::new();
        for piece in images.pieces {
            match piece {
                Piece::Absent(lost) => missing.push(sentence(&lost)),
                Piece::Dataset(spot) => missing.extend(indexer.frames(&spot, 0).err().as_ref().map(sentence)),
            }
        }
        for part in &indexer.parts {
            match part {
                Holder::Stack(_) => return None,
                Holder::Absent { file, why, .. } => missing.push(format!("{}: {why}", file.display())),
            }
        }
        let planned = planned(&mut shelf, &file, &images.entry);
        let entry = EntryWords::new(shelf.file(&file).ok()?, &images.entry);
        let shape = entry.shape();
        let columns = entry.columns(planned.filter(|planned| *planned <= MOST_PLANNED).unwrap_or(0));
        Some(BareMaster {
            planned,
            shape,
            facts: entry.facts(shape.unwrap_or(Shape { slow: 0, fast: 0 }), 0),
            count_cutoff: entry.count_cutoff(),
            date: entry.date(),
            columns: columns.into_iter().map(|(column, _)| column).collect(),
            missing,
        })
    }
}

fn sentence(lost: &NotThere) -> String {
    format!("{}: {}", lost.file.display(), lost.why)
}
