//! How strongly sensors absorb: a table by energy, made by `scripts/sensors.py`.

const TABLE: &str = include_str!("attenuation.txt");

/// Linear absorption coefficient of a material, 1/m, at an energy in keV: linear between the energies of the table, within a stretch
/// between two absorption edges.
pub(super) fn coefficient(material: &str, energy: f64) -> Result<f64, String> {
    let mut names = vec![];
    let (mut density, mut stretch) = (None, vec![]);
    for line in TABLE.lines() {
        let mut words = line.split(' ');
        let (first, second) =
            (words.next().unwrap_or_default(), words.next().and_then(|word| word.parse::<f64>().ok()));
        match (first.parse::<f64>(), second, density) {
            // A name and a density: the next material.
            (Err(_), Some(number), _) => {
                names.push(first);
                density = (first == material).then_some(number);
                stretch.clear();
            }
            (Ok(mega), Some(value), Some(_)) => stretch.push((mega * 1e3, value)),
            (Err(_), None, Some(density)) => {
                if let Some(mass) = within(&stretch, energy) {
                    return Ok(mass * density * 100.0);
                }
                stretch.clear();
            }
            _ => {}
        }
    }
    match names.contains(&material) {
        true => Err(format!("the absorption of {material} at {energy:.4} keV is not known")),
        false => Err(format!(
            "the absorption of the sensor's material \"{material}\" is not known: {} are",
            names.join(", ")
        )),
    }
}

/// The value of a stretch at an energy that is in it.
fn within(stretch: &[(f64, f64)], energy: f64) -> Option<f64> {
    let pair = stretch.windows(2).rev().find(|pair| pair[0].0 <= energy && energy < pair[1].0)?;
    let ((low, from), (high, to)) = (pair[0], pair[1]);
    let slope = (to - from) / (high - low);
    Some(slope * (energy - low) + from)
}
