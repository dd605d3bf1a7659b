//! Builds the whole stack before the first frame, and says where its numbers and images go.
//!
//! ```text
//! /                      NXroot     default=entry_0000
//!   entry_0000           NXentry    default=data; title program_name entry_identifier_uuid start_time end_time
//!                                   status message frame_status image_crc bad_frames recipe
//!       input            NXcollection   file_names file_sizes file_times file_heads
//!       data             NXdata     data (frames, slow, fast)
//! ```
//! The same layout gives the same places, whenever it is built: that is how a run goes on in a file that another one left.
use std::fs::File;

use hdf5::plist::dataset_create::FillTime;
use hdf5::types::{FixedUnicode, OwnedDynValue, VarLenUnicode};
use hdf5::{Dataset, Group, H5Type, Result, SimpleExtents};

use super::{StackLayout, TITLE};
use crate::files::library;
use crate::frame::{PixelType, Shape};
use crate::output::nexus::{self, ReservedBytes};
use crate::output::result::{DATE_LEN, MESSAGE_LEN, STATUS_LEN, write_stamps};

/// What `image_crc` is made of, for people.
const CRC_OF: &str =
    "CRC-32 (zlib's) of the image's pixels as they lie in memory, little-endian; 0: no image";

/// Where things go.
#[derive(Debug, Clone, Copy)]
pub(super) struct StackPlaces {
    /// One after the other; none where they are compressed.
    pub images: Option<ReservedBytes>,
    /// u8 (frames)
    pub statuses: u64,
    /// u32 (frames)
    pub crcs: u64,
    /// Texts of `DATE_LEN`, `STATUS_LEN`, `MESSAGE_LEN`.
    pub end_time: u64,
    pub status: u64,
    pub message: u64,
}

/// Images whose places are not known before they are compressed: the library finds them.
pub(super) struct Compressed {
    // Before its file, in this order.
    pub dataset: Dataset,
    pub file: hdf5::File,
}

/// Makes an empty file the skeleton.
pub(super) fn build(draft: &File, layout: &StackLayout) -> Result<(StackPlaces, Option<Compressed>)> {
    let file = library::create_in(draft)?;
    nexus::attribute(&file, "NX_class", "NXroot")?;
    nexus::attribute(&file, "default", "entry_0000")?;
    nexus::attribute(&file, "creator", "xrdct")?;
    let entry = nexus::group(&file, "entry_0000", "NXentry")?;
    nexus::attribute(&entry, "default", "data")?;
    nexus::text(&entry, "title", TITLE)?;
    nexus::text(&entry, "program_name", concat!("xrdct ", env!("CARGO_PKG_VERSION")))?;
    let new = || (uuid::Uuid::new_v4().to_string(), nexus::now());
    let (uuid, start_time) = layout.goes_on.clone().unwrap_or_else(new);
    nexus::text(&entry, "entry_identifier_uuid", &uuid)?;
    nexus::text(&entry, "start_time", &start_time)?;
    nexus::text(&entry, "recipe", &format!("{:#}", layout.recipe))?;
    let end_time = nexus::reserve::<FixedUnicode<DATE_LEN>>(&entry, "end_time", ())?.1.offset;
    let status = nexus::reserve::<FixedUnicode<STATUS_LEN>>(&entry, "status", ())?.1.offset;
    let message = nexus::reserve::<FixedUnicode<MESSAGE_LEN>>(&entry, "message", ())?.1.offset;
    let (dataset, statuses) = nexus::reserve::<u8>(&entry, "frame_status", [layout.frames])?;
    nexus::attribute(&dataset, "legend", &nexus::status_legend())?;
    let (dataset, crcs) = nexus::reserve::<u32>(&entry, "image_crc", [layout.frames])?;
    nexus::attribute(&dataset, "long_name", CRC_OF)?;
    let bad = entry
        .new_dataset::<VarLenUnicode>()
        .chunk(64)
        .shape(SimpleExtents::resizable([0]))
        .create("bad_frames")?;
    nexus::attribute(&bad, "long_name", "Why frames are bad, in the order of their numbers")?;
    input(&entry, layout)?;
    let data = nexus::group(&entry, "data", "NXdata")?;
    nexus::attribute(&data, "signal", "data")?;
    let (dataset, images) = match layout.pixel {
        PixelType::I8 => room(&data, layout, -1_i8),
        PixelType::U8 => room(&data, layout, u8::MAX),
        PixelType::I16 => room(&data, layout, -1_i16),
        PixelType::U16 => room(&data, layout, u16::MAX),
        PixelType::I32 => room(&data, layout, -1_i32),
        PixelType::U32 => room(&data, layout, u32::MAX),
        PixelType::I64 => room(&data, layout, -1_i64),
        PixelType::U64 => room(&data, layout, u64::MAX),
        PixelType::F32 => room(&data, layout, f32::NAN),
        PixelType::F64 => room(&data, layout, f64::NAN),
    }?;
    nexus::attribute(&dataset, "interpretation", "image")?;
    let (statuses, crcs) = (statuses.offset, crcs.offset);
    let places = StackPlaces { images, statuses, crcs, end_time, status, message };
    if images.is_none() {
        return Ok((places, Some(Compressed { dataset, file })));
    }
    drop((dataset, data, entry));
    file.close()?;
    Ok((places, None))
}

/// Names of the input files, and what they were.
fn input(entry: &Group, layout: &StackLayout) -> Result<()> {
    let input = nexus::group(entry, "input", "NXcollection")?;
    nexus::texts(&input, "file_names", &layout.inputs)?;
    write_stamps(&input, &layout.stamps)
}

/// Room for the images: together, or in chunks that come compressed.
fn room<T: H5Type + Into<OwnedDynValue>>(
    data: &Group,
    layout: &StackLayout,
    fill: T,
) -> Result<(Dataset, Option<ReservedBytes>)> {
    let Shape { slow, fast } = layout.shape;
    let shape = [layout.frames, slow, fast];
    match layout.gzip {
        None => nexus::reserve::<T>(data, "data", shape).map(|(dataset, place)| (dataset, Some(place))),
        Some(level) => {
            let builder =
                data.new_dataset::<T>().chunk([1, slow, fast]).fill_value(fill).fill_time(FillTime::IfSet);
            Ok((builder.shuffle().deflate(level).shape(shape).create("data")?, None))
        }
    }
}
