//! The few HDF5 phrases that a NeXus file is made of: classed groups, attributes, text, numbers, reserved places.
//!
//! Text is variable-length UTF-8, which is what h5py writes and what h5py and silx give back as `str`. Text that is
//! only known at the end of a run stands in a *place* of fixed length instead, because nothing may be allocated later.
//! A [`ReservedBytes`] is a contiguous dataset whose space the file owns from the start: its bytes can be written with a plain
//! `pwrite` after the HDF5 library has closed the file. The library allocates it (`H5D_ALLOC_TIME_EARLY`) and never
//! fills it (`H5D_FILL_TIME_NEVER`), so creating a place of 100 GB costs nothing.
//!
//! No function here touches a file that is not given to it, and each returns the library's own error; whoever knows
//! the path adds it. What is written goes through the `hdf5` crate, what is read back may be anybody's and goes through [`h5`].
use std::ops::Range;
use std::str::FromStr;

use hdf5::plist::dataset_create::{AllocTime, FillTime};
use hdf5::types::{OwnedDynValue, VarLenUnicode};
use hdf5::{Dataset, Extents, Group, H5Type, Hyperslab, Location, Result, Selection, SliceOrIndex};

use crate::frame::FrameStatus;
use crate::h5;

/// Where a dataset's bytes lie in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedBytes {
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// The time, as NeXus wants it: ISO 8601 with the offset from UTC. Seconds are enough to tell when a run was.
pub fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// What the numbers in `frame_status` mean, for its `legend` attribute.
pub fn status_legend() -> String {
    FrameStatus::ALL.map(|status| format!("{} = {}", status as u8, status.word())).join(", ")
}

/// A string as HDF5 wants it; a NUL inside, which HDF5 cannot hold, becomes the replacement character.
///
/// # Errors
/// None that is known.
pub fn unicode(text: &str) -> Result<VarLenUnicode> {
    VarLenUnicode::from_str(&text.replace('\0', "\u{fffd}")).map_err(|e| hdf5::Error::from(e.to_string()))
}

/// Creates a group of a NeXus class.
///
/// # Errors
/// What the library says.
pub fn group(parent: &Group, name: &str, class: &str) -> Result<Group> {
    let group = parent.create_group(name)?;
    attribute(&group, "NX_class", class)?;
    Ok(group)
}

/// Writes a text attribute.
///
/// # Errors
/// What the library says.
pub fn attribute(object: &Location, name: &str, text: &str) -> Result<()> {
    object.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&unicode(text)?)
}

/// Writes an attribute that is a list of texts.
///
/// # Errors
/// What the library says.
pub fn attribute_list(object: &Location, name: &str, texts: &[&str]) -> Result<()> {
    let texts = texts.iter().map(|t| unicode(t)).collect::<Result<Vec<_>>>()?;
    object.new_attr::<VarLenUnicode>().shape(texts.len()).create(name)?.write_raw(&texts)
}

/// Writes an attribute that is a list of numbers.
///
/// # Errors
/// What the library says.
pub fn attribute_numbers<T: H5Type>(object: &Location, name: &str, numbers: &[T]) -> Result<()> {
    object.new_attr::<T>().shape(numbers.len()).create(name)?.write_raw(numbers)
}

/// Writes a text.
///
/// # Errors
/// What the library says.
pub fn text(parent: &Group, name: &str, text: &str) -> Result<Dataset> {
    let dataset = parent.new_dataset::<VarLenUnicode>().create(name)?;
    dataset.write_scalar(&unicode(text)?)?;
    Ok(dataset)
}

/// Writes a list of texts; it may be empty.
///
/// # Errors
/// What the library says.
pub fn texts<S: AsRef<str>>(parent: &Group, name: &str, texts: &[S]) -> Result<Dataset> {
    let texts = texts.iter().map(|t| unicode(t.as_ref())).collect::<Result<Vec<_>>>()?;
    let dataset = parent.new_dataset::<VarLenUnicode>().shape(texts.len()).create(name)?;
    if !texts.is_empty() {
        dataset.write_raw(&texts)?;
    }
    Ok(dataset)
}

/// Writes an array of numbers.
///
/// # Errors
/// What the library says.
pub fn numbers<T: H5Type>(
    parent: &Group,
    name: &str,
    shape: impl Into<Extents>,
    data: &[T],
) -> Result<Dataset> {
    let dataset = parent.new_dataset::<T>().shape(shape).create(name)?;
    dataset.write_raw(data)?;
    Ok(dataset)
}

/// Writes one number.
///
/// # Errors
/// What the library says.
pub fn number<T: H5Type>(parent: &Group, name: &str, value: T) -> Result<Dataset> {
    let dataset = parent.new_dataset::<T>().create(name)?;
    dataset.write_scalar(&value)?;
    Ok(dataset)
}

/// Reserves a contiguous array of numbers; what it holds at first is not defined (zeros on a fresh file).
///
/// # Errors
/// What the library says.
pub fn reserve<T: H5Type>(
    parent: &Group,
    name: &str,
    shape: impl Into<Extents>,
) -> Result<(Dataset, ReservedBytes)> {
    let dataset = parent
        .new_dataset::<T>()
        .alloc_time(Some(AllocTime::Early))
        .fill_time(FillTime::Never)
        .shape(shape)
        .create(name)?;
    let place = place_of(&dataset)?;
    Ok((dataset, place))
}

/// Shows an array of the same file at the start of a larger one; what lies beyond it reads as `beyond` and takes no room.
///
/// # Errors
/// What the library says.
pub fn show<T: H5Type + Into<OwnedDynValue>>(
    parent: &Group,
    name: &str,
    shape: &[usize],
    source: &Dataset,
    beyond: T,
) -> Result<Dataset> {
    let stored = source.shape().into_iter().map(|len| (0..len).into()).collect::<Vec<SliceOrIndex>>();
    show_at(parent, name, shape, source, Hyperslab::from(stored).into(), beyond)
}

/// Shows a whole array in another shape of as many values.
///
/// # Errors
/// What the library says.
pub fn show_as<T: H5Type + Into<OwnedDynValue>>(
    parent: &Group,
    name: &str,
    shape: &[usize],
    source: &Dataset,
    beyond: T,
) -> Result<Dataset> {
    show_at(parent, name, shape, source, Selection::All, beyond)
}

/// Shows a whole array of the same file at a selection of one of this shape.
fn show_at<T: H5Type + Into<OwnedDynValue>>(
    parent: &Group,
    name: &str,
    shape: &[usize],
    source: &Dataset,
    selection: Selection,
    beyond: T,
) -> Result<Dataset> {
    parent
        .new_dataset::<T>()
        .fill_value(beyond)
        .shape(shape)
        .virtual_map(".", source.name(), source.shape(), Selection::All, shape, selection)
        .create(name)
}

/// Where an array shows that of the same name in another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The file, as seen from the folder of the one that shows it.
    pub file: String,
    /// Along this axis…
    pub axis: usize,
    /// …it is here; along the others it is as large as what shows it.
    pub range: Range<usize>,
}

/// Shows arrays of other files, which have the same name in them, in one; what none of them has, or is not there, reads as `beyond`.
///
/// # Errors
/// What the library says.
pub fn show_files<T: H5Type + Into<OwnedDynValue>>(
    parent: &Group,
    name: &str,
    shape: &[usize],
    places: &[Elsewhere],
    beyond: T,
) -> Result<Dataset> {
    // A per cent sign would stand for a number.
    let plain = |name: &str| name.replace('%', "%%");
    let dataset = plain(&format!("{}/{name}", parent.name()));
    let mut builder = parent.new_dataset::<T>().fill_value(beyond).shape(shape);
    for Elsewhere { file, axis, range } in places {
        let mut there = shape.to_vec();
        there[*axis] = range.len();
        let mut here: Vec<SliceOrIndex> = shape.iter().map(|&len| (0..len).into()).collect();
        here[*axis] = range.clone().into();
        builder =
            builder.virtual_map(plain(file), &dataset, there, Selection::All, shape, Hyperslab::from(here));
    }
    builder.create(name)
}

/// How long a run took.
const DURATION: &str = "duration";

/// Reserves a time span in seconds; 0 until it is known.
///
/// # Errors
/// What the library says.
pub fn reserve_duration(parent: &Group, long_name: &str) -> Result<ReservedBytes> {
    let (duration, place) = reserve::<f64>(parent, DURATION, ())?;
    attribute(&duration, "units", "s")?;
    attribute(&duration, "long_name", long_name)?;
    Ok(place)
}

/// What is left of [`reserve_duration`] in a file; `None` while it is not known, or where an earlier version wrote none.
pub fn read_duration(parent: &h5::Group) -> Option<f64> {
    let seconds = parent.dataset(DURATION).and_then(|d| d.read_scalar()).ok()?;
    // What is no time is not known.
    std::time::Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).map(|_| seconds)
}

/// Where a contiguous dataset lies.
///
/// # Errors
/// When it has no place of its own.
pub fn place_of(dataset: &Dataset) -> Result<ReservedBytes> {
    let offset = dataset
        .offset()
        .ok_or_else(|| hdf5::Error::from(format!("{} has no place in the file", dataset.name())))?;
    Ok(ReservedBytes { offset, bytes: dataset.storage_size() })
}

/// Reads a text, of variable or fixed length.
///
/// # Errors
/// When it is missing or not a text.
pub fn read_text(parent: &h5::Group, name: &str) -> h5::Result<String> {
    let dataset = parent.dataset(name)?;
    match (dataset.shape().is_empty(), dataset.read_texts()?.pop()) {
        (true, Some(text)) => Ok(text),
        _ => Err(format!("`{name}` is not one text").into()),
    }
}

/// Reads a list of texts.
///
/// # Errors
/// When it is missing or not a list of texts.
pub fn read_texts(parent: &h5::Group, name: &str) -> h5::Result<Vec<String>> {
    parent.dataset(name)?.read_texts()
}

/// Reads a text attribute; `None` when there is none or it is not a text.
pub fn read_attribute(object: &impl h5::Attributes, name: &str) -> Option<String> {
    object.attribute(name)
}
