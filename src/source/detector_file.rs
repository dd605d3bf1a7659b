//! NeXus files that describe a detector, as pyFAI's `Detector.save` writes them: the corners of each pixel, mask, flat, dark.
//!
//! The detector is the first `NXdetector` in an `NXsubentry` or an `NXinstrument` of the newest `NXentry`. Pixels with a corner that is not finite are masked.
//!
//! Reference: `NexusDetector.load` in `pyFAI/detectors/_common.py` of 2026.9.0.

use std::path::{Path, PathBuf};

use crate::frame::Shape;
use crate::geometry::detector::{FileContent, Orientation, Sensor};
use crate::geometry::mask::Mask;
use crate::h5::{self, Attributes, File, Group, Number};

/// Most pixels that a detector has.
const MOST_PIXELS: usize = 1 << 30;

/// A file that describes no detector.
#[derive(Debug, thiserror::Error)]
#[error("{path}: no detector can be made of it: {why}")]
pub struct DetectorFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and where.
    pub why: String,
}

/// Reads what a file says of a detector.
///
/// # Errors
/// When it cannot be read, describes no detector, or contradicts itself.
pub fn read(path: &Path) -> Result<FileContent, DetectorFileError> {
    let content = File::open(path).map_err(|cause| cause.to_string()).and_then(|file| {
        let group = find(&file).map_err(|cause| cause.to_string())?;
        Said { group: group.ok_or("it has no NXdetector in an NXinstrument or NXsubentry of an NXentry")? }
            .content()
    });
    content.map_err(|why| DetectorFileError { path: path.to_owned(), why })
}

/// The group that describes the detector.
fn find(file: &File) -> h5::Result<Option<Group>> {
    let started = |entry: &Group| entry.dataset("start_time").ok()?.read_texts().ok()?.into_iter().next();
    let mut entries = of_class(&file.root(), "NXentry")?;
    entries.sort_by_key(|entry| std::cmp::Reverse(started(entry)));
    for entry in entries {
        for class in ["NXsubentry", "NXinstrument"] {
            let detectors = of_class(&entry, class)?.into_iter().map(|part| of_class(&part, "NXdetector"));
            if let Some(detector) = detectors.collect::<h5::Result<Vec<_>>>()?.into_iter().flatten().next() {
                return Ok(Some(detector));
            }
        }
    }
    Ok(None)
}

fn of_class(group: &Group, class: &str) -> h5::Result<Vec<Group>> {
    let groups = group.member_names()?.into_iter().filter_map(|name| group.group(&name).ok());
    Ok(groups.filter(|group| group.attribute("NX_class").as_deref() == Some(class)).collect())
}

/// A shape, and the values.
type Shaped<T> = (Vec<usize>, Vec<T>);

/// What the group says.
struct Said {
    group: Group,
}

impl Said {
    /// Numbers of a dataset and its shape; `None` when there is none of that name.
    fn numbers<T: Number>(&self, name: &str) -> Result<Option<Shaped<T>>, String> {
        if !self.group.link_exists(name) {
            return Ok(None);
        }
        let dataset = self.group.dataset(name).map_err(|cause| cause.to_string())?;
        let values = dataset.read_raw().map_err(|cause| cause.to_string())?;
        Ok(Some((dataset.shape(), values)))
    }

    fn number(&self, name: &str) -> Result<Option<f64>, String> {
        match self.numbers::<f64>(name)? {
            None => Ok(None),
            Some((_, values)) => match values[..] {
                [value] if value.is_finite() => Ok(Some(value)),
                _ => Err(format!("`{name}` is not one finite number")),
            },
        }
    }

    fn flag(&self, name: &str, usual: bool) -> Result<bool, String> {
        Ok(self.number(name)?.map_or(usual, |value| value != 0.0))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.group.dataset(name).ok()?.read_texts().ok()?.into_iter().next()
    }

    /// Two numbers above zero.
    fn pair(&self, name: &str) -> Result<Option<(f64, f64)>, String> {
        match self.numbers::<f64>(name)? {
            None => Ok(None),
            Some((_, values)) => match values[..] {
                [slow, fast] if slow > 0.0 && fast > 0.0 && slow.is_finite() && fast.is_finite() => {
                    Ok(Some((slow, fast)))
                }
                _ => Err(format!("`{name}` is not two numbers above zero")),
            },
        }
    }

    /// Two numbers of pixels.
    fn size(&self, name: &str) -> Result<Option<Shape>, String> {
        let Some((slow, fast)) = self.pair(name)? else { return Ok(None) };
        let is_size = slow.fract() == 0.0 && fast.fract() == 0.0 && slow * fast <= MOST_PIXELS as f64;
        match is_size {
            true => Ok(Some(Shape { slow: slow as usize, fast: fast as usize })),
            false => Err(format!("`{name}` is {slow} x {fast}, which is no size of a detector")),
        }
    }

    /// An image, of this size where it is known.
    fn image<T: Number>(&self, name: &str) -> Result<Option<(Shape, Vec<T>)>, String> {
        match self.numbers::<T>(name)? {
            None => Ok(None),
            Some((shape, values)) => match shape[..] {
                [slow, fast] => Ok(Some((Shape { slow, fast }, values))),
                _ => Err(format!("`{name}` has the shape {shape:?}, an image has two dimensions")),
            },
        }
    }

    fn content(&self) -> Result<FileContent, String> {
        let mask = self.image::<f32>("mask")?;
        let flat = self.image::<f32>("flatfield")?;
        let dark = self.image::<f32>("darkcurrent")?;
        let corners = self.numbers::<f32>("pixel_corners")?;
        let binning = self.size("binning")?.map_or((1, 1), |b| (b.slow, b.fast));
        let of_corners = corners.as_ref().and_then(|(shape, _)| match shape[..] {
            [slow, fast, _, _] => Some(Shape { slow, fast }),
            _ => None,
        });
        let images = [mask.as_ref().map(|m| m.0), dark.as_ref().map(|d| d.0), flat.as_ref().map(|f| f.0)];
        let shape = self
            .size("shape")?
            .or(self.size("max_shape")?)
            .or(of_corners)
            .or(images.into_iter().flatten().next());
        let shape = shape.ok_or("neither `shape` nor an image says how many pixels there are")?;
        let whole =
            Shape { slow: shape.slow.saturating_mul(binning.0), fast: shape.fast.saturating_mul(binning.1) };
        for (name, found) in ["mask", "darkcurrent", "flatfield", "pixel_corners"]
            .into_iter()
            .zip(images.into_iter().chain([of_corners]))
        {
            if let Some(found) = found.filter(|found| *found != shape) {
                return Err(format!("its `{name}` is for {found} pixels, and it has {shape}"));
            }
        }
        let mut mask =
            mask.map(|(shape, values)| Mask { shape, masked: values.iter().map(|v| *v != 0.0).collect() });
        let mut corners_each = 4;
        if let Some((sizes, places)) = &corners {
            let [_, _, each @ (4 | 6), 3] = sizes[..] else {
                return Err(format!(
                    "`pixel_corners` has the shape {sizes:?}: 4 or 6 corners of 3 coordinates are known"
                ));
            };
            corners_each = each;
            let lost =
                places.chunks_exact(each * 3).map(|pixel| !pixel.iter().all(|place| place.is_finite()));
            if places.iter().any(|place| !place.is_finite()) {
                let mask = mask.get_or_insert_with(|| Mask::empty(shape));
                mask.masked.iter_mut().zip(lost).for_each(|(masked, lost)| *masked |= lost);
            }
        }
        let pixel = self.pair("pixel_size")?;
        if pixel.is_none() && corners.is_none() {
            return Err("neither `pixel_size` nor `pixel_corners` says where pixels are".to_owned());
        }
        let orientation = match self.number("orientation")? {
            None => Orientation::BottomRight,
            Some(number) => Orientation::from_number(number as u64)
                .filter(|_| number >= 0.0)
                .ok_or_else(|| format!("`orientation` is {number}: 1 to 4 are known"))?,
        };
        let sensor = self.text("sensor_material").map(|material| {
            Ok::<_, String>(Sensor { material, thickness: self.number("sensor_thickness")? })
        });
        let delta =
            self.number("delta_dummy")?.map_or(f64::from(f32::EPSILON), |delta| f64::from(delta as f32));
        Ok(FileContent {
            shape,
            max_shape: self.size("max_shape")?.unwrap_or(whole),
            binning,
            pixel,
            orientation,
            sensor: sensor.transpose()?,
            corners: corners.map(|(_, places)| places),
            corners_each,
            is_flat: self.flag("IS_FLAT", true)?,
            is_contiguous: self.flag("IS_CONTIGUOUS", true)?,
            mask,
            flat: flat.map(|(_, values)| values),
            dark: dark.map(|(_, values)| values),
            dummy: self.number("dummy")?.map(|value| (value, delta)),
        })
    }
}
