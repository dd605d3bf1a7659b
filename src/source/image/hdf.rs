//! One dataset of an HDF5 file as an image: `file.h5::/path`, or `file.h5::/path[3]` for one of a stack.

use std::path::Path;

use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{Dataset, File, Group};
use ndarray::s;

use super::{Image, Trouble};
use crate::frame::Shape;

pub(super) fn read(path: &Path, name: &str) -> Result<Image, Trouble> {
    let mut builder = File::with_options();
    builder.with_fapl(|access| access.file_locking(false));
    let file = builder
        .open_as(path, hdf5::OpenMode::Read)
        .map_err(|_| "it is not an HDF5 file, or it is damaged".to_string())?;
    let (name, chosen) = choice(name);
    let dataset = find(&file, name)?;
    let shape = dataset.shape();
    match (&shape[..], chosen) {
        (&[slow, fast], None) => numbers(&dataset, None, Shape { slow, fast }),
        (&[1, slow, fast], None) => numbers(&dataset, Some(0), Shape { slow, fast }),
        (&[n, _, _], None) => Err(Trouble::Several(n.to_string())),
        (&[n, slow, fast], Some(i)) if i < n => numbers(&dataset, Some(i), Shape { slow, fast }),
        (&[n, _, _], Some(i)) => Err(format!("there is no image {i}: it has {n}, counted from 0").into()),
        _ => Err(Trouble::Shape(shape)),
    }
}

/// Splits `/path[3]` into the path and the number.
fn choice(name: &str) -> (&str, Option<usize>) {
    let chosen = name.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match chosen.and_then(|(path, number)| Some((path, number.parse().ok()?))) {
        Some((path, number)) => (path, Some(number)),
        None => (name, None),
    }
}

/// The dataset of that name, or the signal of the group of that name.
fn find(file: &File, name: &str) -> Result<Dataset, Trouble> {
    if let Ok(dataset) = file.dataset(name) {
        return Ok(dataset);
    }
    let signal = |group: &Group| {
        let named = group.attr("signal").and_then(|a| a.read_scalar::<VarLenUnicode>());
        let name = named.map_or_else(|_| "data".into(), |n| n.to_string());
        group.dataset(&name).ok()
    };
    let group = if name.trim_matches('/').is_empty() { file.as_group().ok() } else { file.group(name).ok() };
    group.as_ref().and_then(signal).ok_or_else(|| format!("there is no dataset `{name}` in it").into())
}

fn numbers(dataset: &Dataset, image: Option<usize>, shape: Shape) -> Result<Image, Trouble> {
    let hdf5 = |cause: hdf5::Error| Trouble::Malformed(format!("reading the dataset failed: {cause}"));
    let descriptor = dataset.dtype().and_then(|dtype| dtype.to_descriptor()).map_err(hdf5)?;
    let data: Vec<f64> = match (descriptor, image) {
        (TypeDescriptor::Boolean, None) => booleans(dataset.read_raw().map_err(hdf5)?),
        (TypeDescriptor::Boolean, Some(i)) => {
            booleans(dataset.read_slice_2d(s![i, .., ..]).map_err(hdf5)?.into_iter().collect())
        }
        (TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) | TypeDescriptor::Float(_), None) => {
            dataset.read_raw().map_err(hdf5)?
        }
        (TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) | TypeDescriptor::Float(_), Some(i)) => {
            dataset.read_slice_2d(s![i, .., ..]).map_err(hdf5)?.into_iter().collect()
        }
        (other, _) => return Err(format!("its values are {other}, not numbers").into()),
    };
    Ok(Image { shape, data })
}

fn booleans(values: Vec<bool>) -> Vec<f64> {
    values.into_iter().map(|value| f64::from(u8::from(value))).collect()
}
