//! Where NXmx says that a detector stands: the directions of its module's rows and columns, and the chains of transformations
//! (NXtransformations, `depends_on`) that they and the module's offset go through.
//!
//! A chain is followed to its end or not believed: what is not understood is a sentence, for whoever wants to use it.

use super::values::{factor, number, text};
use crate::geometry::placement::{Placement, Vector, cross, dot};
use crate::h5::{Attributes, Dataset, File};

/// Transformations that may depend on each other.
const LONGEST: usize = 32;

/// How far from a right angle rows and columns may be, as the cosine.
const SKEW: f64 = 1e-5;

/// Values of a scan that are looked at: one that moves so often moves.
const MOST_VALUES: usize = 1 << 20;

/// What is said of a detector's place; `None` when nothing is. `pixel` is what is said of its pixels elsewhere, metres (slow, fast).
pub(super) fn placement(
    file: &File,
    detector: &str,
    pixel: Option<(f64, f64)>,
) -> Option<Result<Placement, String>> {
    let chain = Chain { file, detector };
    match chain.module() {
        Ok(Some(module)) => chain.placed(&module, pixel).transpose(),
        Ok(None) => chain.turned_without_a_module().err().map(Err),
        Err(why) => Some(Err(why)),
    }
}

/// A turn, then a shift: metres.
#[derive(Clone, Copy)]
struct Motion {
    /// What becomes of x, y and z.
    axes: [Vector; 3],
    shift: Vector,
}

impl Motion {
    const NONE: Motion =
        Motion { axes: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], shift: [0.0; 3] };

    /// Where a direction points afterwards.
    fn turn(&self, [x, y, z]: Vector) -> Vector {
        let [a, b, c] = self.axes;
        [0, 1, 2].map(|i| x * a[i] + y * b[i] + z * c[i])
    }

    /// This one, then another.
    fn then(self, next: Motion) -> Motion {
        let shift = next.turn(self.shift);
        Motion {
            axes: self.axes.map(|axis| next.turn(axis)),
            shift: [0, 1, 2].map(|i| shift[i] + next.shift[i]),
        }
    }

    /// A turn by an angle about an axis of length 1, by the right hand.
    fn about(axis: Vector, angle: f64) -> Motion {
        let (sin, cos) = angle.sin_cos();
        let turned = |v: Vector| {
            let (along, across) = (dot(axis, v) * (1.0 - cos), cross(axis, v));
            [0, 1, 2].map(|i| v[i] * cos + across[i] * sin + axis[i] * along)
        };
        Motion { axes: Motion::NONE.axes.map(turned), shift: [0.0; 3] }
    }
}

/// One transformation, and what it depends on.
struct Link {
    motion: Motion,
    next: Option<String>,
}

/// The transformations of a detector.
struct Chain<'a> {
    file: &'a File,
    detector: &'a str,
}

impl Chain<'_> {
    /// The group of the only module.
    fn module(&self) -> Result<Option<String>, String> {
        let Ok(names) = self.file.group(self.detector).and_then(|group| group.member_names()) else {
            return Ok(None);
        };
        let is_module = |path: &String| {
            let group = self.file.group(path);
            group.is_ok_and(|group| group.attribute("NX_class").as_deref() == Some("NXdetector_module"))
        };
        let paths = names.into_iter().map(|name| format!("{}/{name}", self.detector));
        let mut modules: Vec<String> = paths.filter(is_module).collect();
        match modules.len() {
            0 | 1 => Ok(modules.pop()),
            several => Err(format!("its detector has {several} modules, whose places are not put together")),
        }
    }

    /// A detector that is turned needs the directions of a module.
    fn turned_without_a_module(&self) -> Result<(), String> {
        let motion = self.follow(self.of_detector())?;
        let moved = (0..3).any(|i| (motion.axes[i][i] - 1.0).abs() > 1e-9);
        match moved {
            true => Err(format!(
                "`{}/depends_on` turns the detector, and no module says which way its rows and columns run",
                self.detector
            )),
            false => Ok(()),
        }
    }

    fn placed(&self, module: &str, pixel: Option<(f64, f64)>) -> Result<Option<Placement>, String> {
        let [fast, slow] = ["fast", "slow"].map(|name| format!("{module}/{name}_pixel_direction"));
        let (Ok(fast), Ok(slow)) = (self.file.dataset(&fast), self.file.dataset(&slow)) else {
            return Ok(None);
        };
        let origin = self.file.dataset(&format!("{module}/data_origin")).and_then(|d| d.read_raw::<f64>());
        if origin.is_ok_and(|origin| origin.iter().any(|first| *first != 0.0)) {
            return Err(format!("`{module}/data_origin` is not the first pixel"));
        }
        let (fast_size, fast) = self.direction(&fast)?;
        let (slow_size, slow) = self.direction(&slow)?;
        let skew = dot(fast, slow);
        if skew.abs() > SKEW {
            let degrees = skew.acos().to_degrees();
            return Err(format!(
                "fast_pixel_direction and slow_pixel_direction are at {degrees:.3}°, not at 90°"
            ));
        }
        let slow = unit([0, 1, 2].map(|i| slow[i] - skew * fast[i])).unwrap_or(slow);
        let pixel = match (slow_size.zip(fast_size), pixel) {
            (None, None) => return Err("it does not say the pixel size".to_owned()),
            (Some(size), None) | (None, Some(size)) => size,
            (Some(vectors), Some(plain)) => {
                let differ = |a: f64, b: f64| (a / b - 1.0).abs() > 1e-3;
                if differ(vectors.0, plain.0) || differ(vectors.1, plain.1) {
                    return Err(format!(
                        "y_pixel_size and x_pixel_size are {} and {} m, slow_pixel_direction and fast_pixel_direction {} and {} m",
                        plain.0, plain.1, vectors.0, vectors.1
                    ));
                }
                plain
            }
        };
        let offset = format!("{module}/module_offset");
        let first = match self.file.dataset(&offset) {
            Ok(_) => Some(offset),
            Err(_) => self.of_detector(),
        };
        Ok(Some(Placement { fast, slow, pixel, corner: self.follow(first)?.shift }))
    }

    /// Size of a pixel along a direction, and that direction in the laboratory.
    fn direction(&self, dataset: &Dataset) -> Result<(Option<f64>, Vector), String> {
        let name = dataset.path();
        let vector = vector(dataset)?.and_then(unit).ok_or_else(|| format!("`{name}` has no vector"))?;
        if offset(dataset, "m")? != [0.0; 3] {
            return Err(format!("`{name}` has an offset, which is not understood"));
        }
        let units = dataset.attribute("units").unwrap_or_default();
        let size = match (number(dataset), factor(&units)) {
            (Some(size), Some((per, 'm'))) => Some(size * per).filter(|size| *size > 0.0),
            _ => None,
        };
        let motion = self.follow(self.next(dataset)?)?;
        Ok((size, motion.turn(vector)))
    }

    /// What a chain does from a transformation on.
    fn follow(&self, first: Option<String>) -> Result<Motion, String> {
        let (mut motion, mut next) = (Motion::NONE, first);
        for _ in 0..LONGEST {
            let Some(path) = next else { return Ok(motion) };
            let link = self.link(&path)?;
            (motion, next) = (motion.then(link.motion), link.next);
        }
        Err(format!("its transformations depend on more than {LONGEST} others, or on each other in a circle"))
    }

    fn link(&self, path: &str) -> Result<Link, String> {
        let dataset = self
            .file
            .dataset(path)
            .map_err(|_| format!("`{path}`, on which the place of the detector depends, is not there"))?;
        let value = only_value(&dataset)?;
        let vector = vector(&dataset)?;
        let kind = dataset.attribute("transformation_type").unwrap_or_default();
        let units = dataset.attribute("units").unwrap_or_default();
        let shift = offset(&dataset, &units)?;
        let moved = match (kind.as_str(), value) {
            // Nothing, in whatever unit.
            (_, 0.0) => Motion::NONE,
            ("translation", value) => {
                let Some((per, 'm')) = factor(&units) else {
                    return Err(format!("`{path}`: its unit `{units}` is no length"));
                };
                let along = vector.and_then(unit).ok_or_else(|| format!("`{path}` has no vector"))?;
                Motion { shift: along.map(|c| c * value * per), ..Motion::NONE }
            }
            ("rotation", value) => {
                let angle = match units.trim() {
                    "deg" | "degree" | "degrees" => value.to_radians(),
                    "rad" | "radian" | "radians" => value,
                    _ => return Err(format!("`{path}`: its unit `{units}` is no angle")),
                };
                Motion::about(vector.and_then(unit).ok_or_else(|| format!("`{path}` has no vector"))?, angle)
            }
            (other, _) => {
                return Err(format!(
                    "`{path}`: its transformation_type is `{other}`, not translation or rotation"
                ));
            }
        };
        let motion = Motion { shift: [0, 1, 2].map(|i| moved.shift[i] + shift[i]), ..moved };
        Ok(Link { motion, next: self.next(&dataset)? })
    }

    /// What a transformation depends on: without a word the detector's own.
    fn next(&self, dataset: &Dataset) -> Result<Option<String>, String> {
        let path = dataset.path();
        match dataset.attribute("depends_on") {
            Some(name) => Ok(resolved(&name, path)),
            // Only those of the module stand before the detector's.
            None if path.contains("_pixel_direction") || path.ends_with("/module_offset") => {
                Ok(self.of_detector())
            }
            None => Ok(None),
        }
    }

    /// What the detector depends on.
    fn of_detector(&self) -> Option<String> {
        let path = format!("{}/depends_on", self.detector);
        let name = self.file.dataset(&path).ok().and_then(|dataset| text(&dataset))?;
        resolved(&name, &path)
    }
}

/// A name beside a dataset, from the root; `None` for `.`, the end of a chain.
fn resolved(name: &str, beside: &str) -> Option<String> {
    let name = name.trim();
    match name {
        "" | "." => None,
        _ if name.starts_with('/') => Some(name.to_owned()),
        _ => {
            let group = beside.rsplit_once('/').map_or("", |(group, _)| group);
            Some(format!("{group}/{}", name.trim_start_matches("./")))
        }
    }
}

/// The value that all of its frames have.
fn only_value(dataset: &Dataset) -> Result<f64, String> {
    let path = dataset.path();
    let is_short = dataset.facts().count().is_some_and(|count| count <= MOST_VALUES);
    let values = if is_short { dataset.read_raw::<f64>().unwrap_or_default() } else { vec![] };
    match values.split_first() {
        Some((first, others)) if first.is_finite() && others.iter().all(|other| other == first) => Ok(*first),
        Some((_, [_, ..])) => {
            Err(format!("`{path}` has several values: the detector moves, or it is not understood"))
        }
        _ => Err(format!("`{path}` is not a number")),
    }
}

/// Three numbers, if they are there.
fn vector(dataset: &Dataset) -> Result<Option<Vector>, String> {
    three(dataset, "vector")
}

/// A shift beside the transformation, metres.
fn offset(dataset: &Dataset, usual: &str) -> Result<Vector, String> {
    let shift = three(dataset, "offset")?.unwrap_or_default();
    if shift == [0.0; 3] {
        return Ok(shift);
    }
    let units = dataset.attribute("offset_units").unwrap_or_else(|| usual.to_owned());
    match factor(&units) {
        Some((per, 'm')) => Ok(shift.map(|c| c * per)),
        _ => Err(format!("`{}`: the unit `{units}` of its offset is no length", dataset.path())),
    }
}

fn three(dataset: &Dataset, name: &str) -> Result<Option<Vector>, String> {
    let Ok(numbers) = dataset.attribute_numbers(name) else { return Ok(None) };
    match <Vector>::try_from(numbers) {
        Ok(vector) if vector.iter().all(|c| c.is_finite() && c.abs() < 1e9) => Ok(Some(vector)),
        _ => Err(format!("`{}`: its {name} is not three numbers", dataset.path())),
    }
}

/// The same direction with length 1; `None` for no direction.
fn unit(vector: Vector) -> Option<Vector> {
    let length = dot(vector, vector).sqrt();
    (length > 1e-12).then(|| vector.map(|c| c / length))
}
