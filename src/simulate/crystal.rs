//! Powder lines of known substances, computed from their crystal structures.
//!
//! A [`Substance`] is a cell and the atoms in it. Every line follows from that: its spacing from the cell,
//! its strength from the structure factor F(hkl), its multiplicity from how many (hkl) share the spacing.
//! Extinction needs no rules of its own: a reflection that a screw axis, a glide plane or a centring forbids
//! has F = 0.
//!
//! Cells are those of the NIST certificates where there is one (named beside each), so that a simulated LaB6
//! frame calibrates a detector as the real powder does. Strengths are kinematic: neutral-atom form factors,
//! one temperature factor for all, no texture, no absorption. They are good enough to look right and are no
//! reference values.

use std::f64::consts::PI;

/// Temperature factor B in exp(−B·(sinθ/λ)²), Å²: a usual value for an inorganic solid at room temperature.
const TEMPERATURE_FACTOR: f64 = 0.4;

/// A line weaker than this part of the strongest is taken as forbidden (rounding of F = 0 is near 1e-30).
const FORBIDDEN: f64 = 1e-9;

/// Two spacings closer than this (relative, in 1/d²) are the same line.
const SAME_LINE: f64 = 1e-9;

/// Neutral-atom form factor as four Gaussians and a constant: International Tables for Crystallography, vol.
/// C, table 6.1.1.4.
#[derive(Debug)]
struct Element {
    a: [f64; 4],
    b: [f64; 4],
    c: f64,
}

impl Element {
    /// Form factor, electrons, at s = sinθ/λ in 1/Å.
    fn form_factor(&self, s: f64) -> f64 {
        self.c + self.a.iter().zip(self.b).map(|(a, b)| a * (-b * s * s).exp()).sum::<f64>()
    }
}

const BORON: Element =
    Element { a: [2.0545, 1.3326, 1.0979, 0.7068], b: [23.2185, 1.0210, 60.3498, 0.1403], c: -0.1932 };
const OXYGEN: Element =
    Element { a: [3.0485, 2.2868, 1.5463, 0.8670], b: [13.2771, 5.7011, 0.3239, 32.9089], c: 0.2508 };
const ALUMINIUM: Element =
    Element { a: [6.4202, 1.9002, 1.5936, 1.9646], b: [3.0387, 0.7426, 31.5472, 85.0886], c: 1.1151 };
const SILICON: Element =
    Element { a: [6.2915, 3.0353, 1.9891, 1.5410], b: [2.4386, 32.3337, 0.6785, 81.6937], c: 1.1407 };
const CHROMIUM: Element =
    Element { a: [10.6406, 7.3537, 3.3240, 1.4922], b: [6.1038, 0.3920, 20.2626, 98.7399], c: 1.1832 };
const NICKEL: Element =
    Element { a: [12.8376, 7.2920, 4.4438, 2.3800], b: [3.8785, 0.2565, 12.1763, 66.3421], c: 1.0341 };
const ZINC: Element =
    Element { a: [14.0743, 7.0318, 5.1652, 2.4100], b: [3.2655, 0.2333, 10.3163, 58.7097], c: 1.3041 };
const LANTHANUM: Element =
    Element { a: [20.5780, 19.5990, 11.3727, 3.28719], b: [2.94817, 0.244475, 18.7726, 133.124], c: 2.14678 };
const CERIUM: Element =
    Element { a: [21.1671, 19.7695, 11.8513, 3.33049], b: [2.81219, 0.226836, 17.6083, 127.113], c: 1.86264 };
const GOLD: Element =
    Element { a: [16.8819, 18.5913, 25.5582, 5.8600], b: [0.4611, 8.6216, 1.4826, 36.3956], c: 12.0658 };

/// Shape of a unit cell; lengths in Å.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnitCell {
    /// a = b = c, right angles.
    Cubic {
        /// Edge.
        a: f64,
    },
    /// a = b, γ = 120° (hexagonal axes, also for rhombohedral crystals).
    Hexagonal {
        /// Edge of the base.
        a: f64,
        /// Height.
        c: f64,
    },
    /// Layers that are ordered along c only: lines (0 0 l).
    Lamellar {
        /// Spacing of the layers.
        c: f64,
    },
}

impl UnitCell {
    /// 1/d² of a reflection, Å⁻².
    fn inverse_square(self, [h, k, l]: [i32; 3]) -> f64 {
        let [h, k, l] = [f64::from(h), f64::from(k), f64::from(l)];
        match self {
            UnitCell::Cubic { a } => (h * h + k * k + l * l) / (a * a),
            UnitCell::Hexagonal { a, c } => 4.0 / 3.0 * (h * h + h * k + k * k) / (a * a) + l * l / (c * c),
            UnitCell::Lamellar { c } => l * l / (c * c),
        }
    }

    /// Largest |h|, |k|, |l| that can have a spacing of `d_min`, Å, or more.
    fn limits(self, d_min: f64) -> [i32; 3] {
        let count = |height: f64| (height / d_min).floor() as i32;
        match self {
            UnitCell::Cubic { a } => [count(a); 3],
            UnitCell::Hexagonal { a, c } => [count(a), count(a), count(c)],
            UnitCell::Lamellar { c } => [0, 0, count(c)],
        }
    }

    /// Volume, Å³ (of a lamellar crystal: the spacing; only ratios inside one substance are used there).
    fn volume(self) -> f64 {
        match self {
            UnitCell::Cubic { a } => a * a * a,
            UnitCell::Hexagonal { a, c } => a * a * c * (PI / 3.0).sin(),
            UnitCell::Lamellar { c } => c,
        }
    }
}

/// One atom of a cell: what it is and where, in fractions of the cell's edges.
type Atom = (&'static Element, [f64; 3]);

/// A powder whose lines are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Substance {
    LaB6,
    CeO2,
    Si,
    AgBh,
    Al2O3,
    Cr2O3,
    ZnO,
    Al,
    Ni,
    Au,
}

/// One line of a powder pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Spacing, Å.
    pub d: f64,
    /// One of the reflections that make it: the one with the largest l, then k, then h.
    pub hkl: [i32; 3],
    /// Number of reflections that share the spacing.
    pub multiplicity: usize,
    /// Σ |F|² of those reflections with their temperature factor, over the squared volume of the cell: what a
    /// unit volume of powder scatters into the whole line before the Lorentz factor. Electrons² Å⁻⁶.
    pub strength: f64,
}

impl Substance {
    /// Every substance, in the order shown to people.
    pub const ALL: [Substance; 10] = [
        Substance::LaB6,
        Substance::CeO2,
        Substance::Si,
        Substance::AgBh,
        Substance::Al2O3,
        Substance::Cr2O3,
        Substance::ZnO,
        Substance::Al,
        Substance::Ni,
        Substance::Au,
    ];

    /// Name: the formula.
    pub const fn name(self) -> &'static str {
        match self {
            Substance::LaB6 => "LaB6",
            Substance::CeO2 => "CeO2",
            Substance::Si => "Si",
            Substance::AgBh => "AgBh",
            Substance::Al2O3 => "Al2O3",
            Substance::Cr2O3 => "Cr2O3",
            Substance::ZnO => "ZnO",
            Substance::Al => "Al",
            Substance::Ni => "Ni",
            Substance::Au => "Au",
        }
    }

    /// Common name and where the cell was taken from.
    pub const fn source(self) -> &'static str {
        match self {
            Substance::LaB6 => "lanthanum hexaboride, NIST SRM 660c",
            Substance::CeO2 => "ceria, NIST SRM 674b",
            Substance::Si => "silicon, NIST SRM 640e",
            Substance::AgBh => "silver behenate, Huang et al., J. Appl. Cryst. 26 (1993) 180",
            Substance::Al2O3 => "corundum, NIST SRM 676a (certificate of 2015)",
            Substance::Cr2O3 => "eskolaite, NIST SRM 674b",
            Substance::ZnO => "zincite, NIST SRM 674b",
            Substance::Al => "aluminium, Witt, Z. Naturforsch. A 22 (1967) 92",
            Substance::Ni => "nickel, Taylor, J. Inst. Metals 77 (1950) 585",
            Substance::Au => "gold, Maeland & Flanagan, Can. J. Phys. 42 (1964) 2364",
        }
    }

    /// The substance of that name; upper and lower case are the same, a few longer names are known.
    pub fn by_name(name: &str) -> Option<Substance> {
        let name = name.to_ascii_lowercase();
        let formula = match name.as_str() {
            "ceria" => "ceo2",
            "silicon" => "si",
            "corundum" | "alumina" | "alpha_al2o3" => "al2o3",
            "eskolaite" => "cr2o3",
            "gold" => "au",
            "nickel" => "ni",
            "aluminium" | "aluminum" => "al",
            other => other,
        };
        Substance::ALL.into_iter().find(|s| s.name().eq_ignore_ascii_case(formula))
    }

    /// Its unit cell.
    pub const fn cell(self) -> UnitCell {
        match self {
            Substance::LaB6 => UnitCell::Cubic { a: 4.156_826 },
            Substance::CeO2 => UnitCell::Cubic { a: 5.411_651 },
            Substance::Si => UnitCell::Cubic { a: 5.431_179 },
            Substance::AgBh => UnitCell::Lamellar { c: 58.380 },
            Substance::Al2O3 => UnitCell::Hexagonal { a: 4.759_355, c: 12.992_31 },
            Substance::Cr2O3 => UnitCell::Hexagonal { a: 4.958_979, c: 13.595_92 },
            Substance::ZnO => UnitCell::Hexagonal { a: 3.249_895, c: 5.206_53 },
            Substance::Al => UnitCell::Cubic { a: 4.049_5 },
            Substance::Ni => UnitCell::Cubic { a: 3.523_87 },
            Substance::Au => UnitCell::Cubic { a: 4.078_2 },
        }
    }

    /// Its atoms; positions from the usual refinements of each structure. Empty for silver behenate (see
    /// [`Self::lines`]).
    fn atoms(self) -> Vec<Atom> {
        match self {
            Substance::LaB6 => lab6(),
            Substance::CeO2 => {
                let mut atoms = centred(&CERIUM, [0.0; 3]);
                atoms.extend(centred(&OXYGEN, [0.25; 3]));
                atoms.extend(centred(&OXYGEN, [0.75; 3]));
                atoms
            }
            Substance::Si => {
                let mut atoms = centred(&SILICON, [0.0; 3]);
                atoms.extend(centred(&SILICON, [0.25; 3]));
                atoms
            }
            Substance::AgBh => Vec::new(),
            Substance::Al2O3 => sesquioxide(&ALUMINIUM, 0.352_16, 0.306_24),
            Substance::Cr2O3 => sesquioxide(&CHROMIUM, 0.347_5, 0.305_8),
            Substance::ZnO => wurtzite(&ZINC, &OXYGEN, 0.382_1),
            Substance::Al => centred(&ALUMINIUM, [0.0; 3]),
            Substance::Ni => centred(&NICKEL, [0.0; 3]),
            Substance::Au => centred(&GOLD, [0.0; 3]),
        }
    }

    /// How many reflections [`Substance::lines`] looks at.
    pub fn reflections(self, d_min: f64) -> f64 {
        self.cell().limits(d_min).into_iter().map(|most| 2.0 * f64::from(most) + 1.0).product()
    }

    /// All lines with a spacing of `d_min`, Å, or more, from the largest spacing down.
    ///
    /// Silver behenate is given as layers: its orders (0 0 l) fall off as 1/l², which leaves the first ten or
    /// so visible, as in real patterns.
    pub fn lines(self, d_min: f64) -> Vec<Line> {
        let cell = self.cell();
        let atoms = self.atoms();
        let [h_max, k_max, l_max] = cell.limits(d_min);
        let mut reflections: Vec<(f64, [i32; 3], f64)> = Vec::new();
        for h in -h_max..=h_max {
            for k in -k_max..=k_max {
                for l in -l_max..=l_max {
                    let inverse_square = cell.inverse_square([h, k, l]);
                    if inverse_square > 0.0 && inverse_square * d_min * d_min <= 1.0 {
                        let strength = strength(&atoms, cell, [h, k, l], inverse_square);
                        reflections.push((inverse_square, [h, k, l], strength));
                    }
                }
            }
        }
        reflections.sort_by(|a, b| a.0.total_cmp(&b.0));
        let same = |a: &(f64, [i32; 3], f64), b: &(f64, [i32; 3], f64)| b.0 - a.0 <= SAME_LINE * b.0;
        let lines: Vec<Line> = reflections
            .chunk_by(same)
            .map(|group| Line {
                d: group[0].0.sqrt().recip(),
                hkl: group.iter().map(|r| r.1).max_by_key(|&[h, k, l]| [l, k, h]).unwrap_or_default(),
                multiplicity: group.len(),
                strength: group.iter().map(|r| r.2).sum(),
            })
            .collect();
        let strongest = lines.iter().map(|line| line.strength).fold(0.0, f64::max);
        lines.into_iter().filter(|line| line.strength > FORBIDDEN * strongest).collect()
    }
}

/// |F|² with the temperature factor, over the squared volume of the cell.
fn strength(atoms: &[Atom], cell: UnitCell, hkl: [i32; 3], inverse_square: f64) -> f64 {
    if let UnitCell::Lamellar { .. } = cell {
        return 1.0 / f64::from(hkl[2] * hkl[2]);
    }
    let s = 0.5 * inverse_square.sqrt();
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (element, position) in atoms {
        let turns: f64 = hkl.iter().zip(position).map(|(&index, x)| f64::from(index) * x).sum();
        let (sin, cos) = (2.0 * PI * turns).sin_cos();
        let amplitude = element.form_factor(s);
        real += amplitude * cos;
        imaginary += amplitude * sin;
    }
    let temperature = (-2.0 * TEMPERATURE_FACTOR * s * s).exp();
    (real * real + imaginary * imaginary) * temperature / cell.volume().powi(2)
}

/// An atom and its copies by a face-centred lattice.
fn centred(element: &'static Element, [x, y, z]: [f64; 3]) -> Vec<Atom> {
    [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
        .map(|[u, v, w]| (element, [x + u, y + v, z + w]))
        .to_vec()
}

/// Pm-3m with La at the corner and the octahedron of B around the middle, x(B) = 0.1993.
fn lab6() -> Vec<Atom> {
    const X: f64 = 0.1993;
    let mut atoms: Vec<Atom> = vec![(&LANTHANUM, [0.0; 3])];
    for x in [X, -X] {
        atoms.extend([[x, 0.5, 0.5], [0.5, x, 0.5], [0.5, 0.5, x]].map(|at| (&BORON, at)));
    }
    atoms
}

/// R-3c on hexagonal axes: metal at 12c (0 0 z), oxygen at 18e (x 0 ¼).
fn sesquioxide(metal: &'static Element, z: f64, x: f64) -> Vec<Atom> {
    let mut atoms: Vec<Atom> = Vec::new();
    for [u, v, w] in [[0.0; 3], [2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], [1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]] {
        for height in [z, 0.5 - z, -z, 0.5 + z] {
            atoms.push((metal, [u, v, w + height]));
        }
        let half = [[x, 0.0, 0.25], [0.0, x, 0.25], [-x, -x, 0.25]];
        for [a, b, c] in half {
            atoms.push((&OXYGEN, [u + a, v + b, w + c]));
            atoms.push((&OXYGEN, [u - a, v - b, w - c]));
        }
    }
    atoms
}

/// P6₃mc: both kinds at 2b (⅓ ⅔ z), z = 0 for the metal and `u` for the other.
fn wurtzite(metal: &'static Element, other: &'static Element, u: f64) -> Vec<Atom> {
    let pair = |element: &'static Element, z: f64| {
        [(element, [1.0 / 3.0, 2.0 / 3.0, z]), (element, [2.0 / 3.0, 1.0 / 3.0, z + 0.5])]
    };
    pair(metal, 0.0).into_iter().chain(pair(other, u)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(substance: Substance, d_min: f64) -> Vec<([i32; 3], usize)> {
        substance.lines(d_min).into_iter().map(|l| (l.hkl.map(i32::abs), l.multiplicity)).collect()
    }

    #[test]
    fn form_factors_count_the_electrons() {
        let atoms = [
            (&BORON, 5.0),
            (&OXYGEN, 8.0),
            (&ALUMINIUM, 13.0),
            (&SILICON, 14.0),
            (&CHROMIUM, 24.0),
            (&NICKEL, 28.0),
            (&ZINC, 30.0),
            (&LANTHANUM, 57.0),
            (&CERIUM, 58.0),
            (&GOLD, 79.0),
        ];
        for (element, electrons) in atoms {
            assert!((element.form_factor(0.0) - electrons).abs() < 0.05, "{electrons}");
        }
    }

    #[test]
    fn extinctions_follow_from_the_atoms() {
        let si: Vec<_> = indices(Substance::Si, 1.2);
        assert_eq!(si, [([1, 1, 1], 8), ([0, 2, 2], 12), ([1, 1, 3], 24), ([0, 0, 4], 6), ([1, 3, 3], 24)]);
        let ni: Vec<_> = indices(Substance::Ni, 1.0);
        assert_eq!(ni, [([1, 1, 1], 8), ([0, 0, 2], 6), ([0, 2, 2], 12), ([1, 1, 3], 24), ([2, 2, 2], 8)]);
        assert_eq!(Substance::LaB6.lines(1.4).len(), 7, "h²+k²+l² = 1 to 6 and 8: there is no 7");
        assert_eq!(Substance::AgBh.lines(5.8).len(), 10);
    }

    #[test]
    fn strengths_are_near_the_measured_ones() {
        // Relative intensities with Cu K-alpha as powder diffraction files list them, in percent.
        let measured: [(Substance, &[(f64, f64)]); 4] = [
            (Substance::LaB6, &[(4.157, 58.0), (2.939, 100.0), (2.400, 43.0), (1.859, 46.0)]),
            (Substance::CeO2, &[(3.124, 100.0), (2.706, 28.0), (1.913, 48.0), (1.632, 38.0)]),
            (Substance::Si, &[(3.136, 100.0), (1.920, 60.0), (1.638, 33.0)]),
            (Substance::Cr2O3, &[(3.631, 73.0), (2.665, 100.0), (2.480, 95.0), (1.672, 88.0)]),
        ];
        let intensity = |line: &Line| {
            let theta = (1.5406 / (2.0 * line.d)).asin();
            let polarization = 1.0 + (2.0 * theta).cos().powi(2);
            line.strength * polarization / (theta.sin().powi(2) * theta.cos())
        };
        for (substance, listed) in measured {
            let lines = substance.lines(1.0);
            let highest = lines.iter().map(intensity).fold(0.0, f64::max);
            for &(d, percent) in listed {
                let line = lines.iter().find(|line| (line.d - d).abs() < 2e-3).unwrap();
                let ours = 100.0 * intensity(line) / highest;
                assert!((ours - percent).abs() < 12.0, "{} {d}: {ours:.1} {percent}", substance.name());
            }
        }
    }

    #[test]
    fn names_are_found() {
        for substance in Substance::ALL {
            assert_eq!(Substance::by_name(&substance.name().to_lowercase()), Some(substance));
        }
        assert_eq!(Substance::by_name("corundum"), Some(Substance::Al2O3));
        assert_eq!(Substance::by_name("unobtainium"), None);
    }
}
