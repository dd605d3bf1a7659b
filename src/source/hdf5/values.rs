//! Single values of datasets, with their units, and images: what is no such thing is not known.

use std::sync::Arc;

use crate::files::shown;
use crate::frame::Shape;
use crate::h5::{Attributes, Dataset, Kind, Number};

/// The unit of a dataset as NeXus spells it.
pub(super) fn unit(dataset: &Dataset) -> String {
    match dataset.attribute("units").unwrap_or_default().trim() {
        "degree" | "degrees" => "deg".to_owned(),
        unit => unit.chars().filter(|c| !c.is_control()).take(32).collect(),
    }
}

/// A single number.
pub(super) fn number(dataset: &Dataset) -> Option<f64> {
    let is_number = matches!(dataset.facts().kind, Kind::Boolean | Kind::Integer | Kind::Float);
    (is_number && dataset.facts().count() == Some(1))
        .then(|| dataset.read_raw::<f64>().ok()?.first().copied())?
}

/// A single number in metres, electronvolts or seconds; `usual` is its unit when none is named. Where each pixel has one, the first's.
pub(super) fn quantity(dataset: &Dataset, usual: &str) -> Option<f64> {
    let unit = dataset.attribute("units").filter(|unit| !unit.trim().is_empty());
    let (factor, _) = factor(unit.as_deref().unwrap_or(usual))?;
    let value = match dataset.shape()[..] {
        [length, ..] if length > 1 => {
            let first: Vec<_> = dataset.shape().iter().map(|_| 0..1).collect();
            dataset.read_part::<f64>(&first).ok()?.first().copied()
        }
        _ => number(dataset),
    }?;
    Some(value * factor)
}

/// What a unit is of the metre, electronvolt or second, and which of them.
pub(super) fn factor(unit: &str) -> Option<(f64, char)> {
    Some(match unit.trim() {
        "m" | "metre" | "meter" | "metres" | "meters" => (1.0, 'm'),
        "cm" => (1e-2, 'm'),
        "mm" | "millimetre" | "millimeter" => (1e-3, 'm'),
        "um" | "µm" | "μm" | "micron" | "microns" | "micrometre" | "micrometer" => (1e-6, 'm'),
        "nm" => (1e-9, 'm'),
        "A" | "Å" | "Angstrom" | "angstrom" | "angstroms" | "Angstroms" => (1e-10, 'm'),
        "eV" | "ev" => (1.0, 'e'),
        "keV" | "kev" | "KeV" => (1e3, 'e'),
        "s" | "second" | "seconds" => (1.0, 's'),
        "ms" => (1e-3, 's'),
        "us" | "µs" => (1e-6, 's'),
        _ => return None,
    })
}

/// A single text.
pub(super) fn text(dataset: &Dataset) -> Option<String> {
    let text = dataset.read_texts().ok()?.into_iter().next()?;
    let text = text.trim_matches(['\0', ' ', '\n', '\r', '\t']);
    (!text.is_empty()).then(|| shown(text, &[]).into_owned())
}

/// One value a pixel; where each channel has an image, that channel's.
pub(super) fn image<T: Number>(
    dataset: &Dataset,
    Shape { slow, fast }: Shape,
    channel: usize,
) -> Option<Arc<[T]>> {
    let part = match dataset.shape()[..] {
        [a, b] if (a, b) == (slow, fast) => vec![0..slow, 0..fast],
        [channels, a, b] if (a, b) == (slow, fast) && channel < channels => {
            vec![channel..channel + 1, 0..slow, 0..fast]
        }
        _ => return None,
    };
    dataset.read_part::<T>(&part).ok().map(Arc::from)
}
