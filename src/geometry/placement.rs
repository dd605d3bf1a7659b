//! Where a detector stands in the laboratory, as two directions and a corner say it, and the same as a PONI.
//!
//! The laboratory is that of NeXus (McStas): seen along the beam x points to the left, y up, z along the beam; the sample is at 0. pyFAI's
//! axes are 1 up, 2 to the right and 3 along the beam. Its rotations take a detector across the beam, whose rows are counted upwards
//! and whose columns to the right (orientation 3), to where it stands; another orientation counts backwards.

use super::detector::Orientation;
use crate::frame::Shape;

/// Directions and places: x, y, z.
pub type Vector = [f64; 3];

/// Where a flat detector stands, metres. Pairs are (slow, fast).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// From one pixel of a row to the next, of length 1.
    pub fast: Vector,
    /// From one row to the next, of length 1 and at a right angle to `fast`.
    pub slow: Vector,
    /// Size of a pixel along both.
    pub pixel: (f64, f64),
    /// The outer corner of the first pixel.
    pub corner: Vector,
}

/// A placement as pyFAI says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// From which corner pixels are counted.
    pub orientation: Orientation,
    /// Perpendicular from the sample to the plane of the detector, metres.
    pub distance: f64,
    /// The foot of that perpendicular, metres along the slow and the fast axis.
    pub poni: (f64, f64),
    /// Rotations about axes 1, 2 and 3, radians.
    pub rotations: [f64; 3],
}

/// Where the beam meets the plane of a detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamSpot {
    /// Metres from the sample, along the beam; negative when the plane is upstream.
    pub distance: f64,
    /// Pixels (slow, fast) from the outer corner of the first one.
    pub centre: (f64, f64),
}

impl Placement {
    /// A detector across the beam with these directions, that the beam meets there.
    pub fn across(fast: Vector, slow: Vector, pixel: (f64, f64), beam: BeamSpot) -> Placement {
        let (along_slow, along_fast) = (beam.centre.0 * pixel.0, beam.centre.1 * pixel.1);
        let at = |axis: usize| -along_slow * slow[axis] - along_fast * fast[axis];
        Placement { fast, slow, pixel, corner: [at(0), at(1), beam.distance + at(2)] }
    }

    /// How far its plane is turned out of the plane across the beam, radians.
    pub fn tilt(&self) -> f64 {
        let [x, y, z] = cross(self.fast, self.slow);
        x.hypot(y).atan2(z.abs())
    }

    /// Where the beam meets it; `None` when it runs along the plane.
    pub fn beam(&self) -> Option<BeamSpot> {
        let normal = cross(self.fast, self.slow);
        if normal[2].abs() < 1e-6 {
            return None;
        }
        let distance = dot(normal, self.corner) / normal[2];
        let spot = [-self.corner[0], -self.corner[1], distance - self.corner[2]];
        Some(BeamSpot {
            distance,
            centre: (dot(spot, self.slow) / self.pixel.0, dot(spot, self.fast) / self.pixel.1),
        })
    }

    /// The same for pyFAI, for an image of this shape; `None` when the sample is in the plane of the detector.
    pub fn pose(&self, shape: Shape) -> Option<Pose> {
        let [slow, fast, corner] = [self.slow, self.fast, self.corner].map(to_pyfai);
        // Rows and columns may be counted backwards: two of the four ways look from the sample, and the less turned one of them is meant.
        let ways = [
            (Orientation::BottomRight, 1.0, 1.0),
            (Orientation::TopRight, -1.0, 1.0),
            (Orientation::BottomLeft, 1.0, -1.0),
            (Orientation::TopLeft, -1.0, -1.0),
        ];
        let way = |(orientation, up, right): (Orientation, f64, f64)| {
            let (first, second) = (slow.map(|c| c * up), fast.map(|c| c * right));
            let third = cross(first, second);
            let distance = dot(third, corner);
            let unturned = first[0] + second[1] + third[2];
            (distance > 1e-9).then_some((orientation, [first, second, third], distance, unturned))
        };
        let facing = ways.into_iter().filter_map(way);
        // The first of two that are turned as much.
        let (orientation, [first, second, third], distance, _) =
            facing.reduce(|best, other| if other.3 > best.3 + 1e-9 { other } else { best })?;
        // From the corner where counting begins to the corner that positions are measured from.
        let from = |direction: Vector, pixels: usize, pixel: f64, backwards: bool| {
            let length = if backwards { pixels as f64 * pixel } else { 0.0 };
            length - dot(direction, corner)
        };
        let (flips_slow, flips_fast) = (orientation.flips_slow(), orientation.flips_fast());
        Some(Pose {
            orientation,
            distance,
            poni: (
                from(first, shape.slow, self.pixel.0, flips_slow),
                from(second, shape.fast, self.pixel.1, flips_fast),
            ),
            rotations: rotations(first, second, third),
        })
    }
}

/// pyFAI's rotations that turn its axes 1, 2, 3 into these.
fn rotations(first: Vector, second: Vector, third: Vector) -> [f64; 3] {
    // Adding 0 makes a plain zero of a negative one.
    let tidy = |angle: f64| if angle.abs() < 1e-12 { 0.0 } else { angle };
    let across = second[2].hypot(third[2]);
    let rot2 = first[2].atan2(across);
    match across > 1e-9 {
        true => [(-second[2]).atan2(third[2]), rot2, first[1].atan2(first[0])].map(tidy),
        // The plane holds the beam and axis 1 lies along it: rotations 1 and 3 are one.
        false => [0.0, rot2, (-second[0]).atan2(second[1])].map(tidy),
    }
}

/// NeXus's axes as pyFAI has them: up, right, along the beam.
fn to_pyfai([x, y, z]: Vector) -> Vector {
    [y, -x, z]
}

/// Sum of products.
pub fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// At right angles to both, right-handed.
pub fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::detector::Detector;
    use crate::geometry::poni::Poni;
    use crate::geometry::position::{Lattice, Points};

    const SHAPE: Shape = Shape { slow: 5, fast: 7 };
    const PIXEL: (f64, f64) = (1e-3, 2e-3);

    /// Turns about z, then about y, then about x.
    fn turned([x, y, z]: Vector, [a, b, c]: [f64; 3]) -> Vector {
        let (x, y) = (x * a.cos() - y * a.sin(), x * a.sin() + y * a.cos());
        let (x, z) = (x * b.cos() + z * b.sin(), z * b.cos() - x * b.sin());
        let (y, z) = (y * c.cos() - z * c.sin(), y * c.sin() + z * c.cos());
        [x, y, z]
    }

    #[test]
    fn each_pixel_is_where_its_vectors_put_it() {
        let mut seen = vec![];
        for (fast, slow) in
            [([-1, 0], [0, -1]), ([-1, 0], [0, 1]), ([1, 0], [0, -1]), ([1, 0], [0, 1]), ([0, 1], [1, 0])]
        {
            let [fast, slow] = [fast, slow].map(|[x, y]| [f64::from(x), f64::from(y), 0.0]);
            for angles in [[0.0; 3], [0.1, -0.2, 0.3], [0.0, 0.9, 0.0], [2.0, 1.5, -1.0]] {
                let [fast, slow, corner] = [fast, slow, [0.003, 0.001, 0.2]].map(|v| turned(v, angles));
                let placement = Placement { fast, slow, pixel: PIXEL, corner };
                let pose = placement.pose(SHAPE).expect("the sample is before it");
                let mut detector = Detector::plain(PIXEL.0, PIXEL.1, Some(SHAPE));
                detector.orientation = pose.orientation;
                let [rot1, rot2, rot3] = pose.rotations;
                let (distance, (poni1, poni2)) = (pose.distance, pose.poni);
                let poni = Poni {
                    distance,
                    poni1,
                    poni2,
                    rot1,
                    rot2,
                    rot3,
                    wavelength: None,
                    detector,
                    parallax: false,
                    version: 2.1,
                    notes: vec![],
                };
                let lattice = Lattice::new(&poni, SHAPE, Points::Centres).expect("a lattice");
                for row in 0..SHAPE.slow {
                    for (column, (right, up, along)) in lattice.row(row).enumerate() {
                        let (s, f) = ((row as f64 + 0.5) * PIXEL.0, (column as f64 + 0.5) * PIXEL.1);
                        let at = |axis: usize| corner[axis] + s * slow[axis] + f * fast[axis];
                        let off = (at(0) + right).hypot(at(1) - up).hypot(at(2) - along);
                        assert!(off < 1e-12, "{pose:?}: {off}");
                    }
                }
                if angles == [0.0; 3] {
                    seen.push((pose.orientation.number(), pose.rotations[2]));
                    assert_eq!(pose.rotations[..2], [0.0; 2]);
                    let beam = placement.beam().expect("the beam meets it");
                    let again = Placement::across(fast, slow, PIXEL, beam);
                    assert!((0..3).all(|axis| (again.corner[axis] - corner[axis]).abs() < 1e-12));
                }
            }
        }
        let quarter = std::f64::consts::FRAC_PI_2;
        assert_eq!(seen[..4], [(2, 0.0), (3, 0.0), (1, 0.0), (4, 0.0)]);
        assert!(matches!(seen[4], (_, turn) if (turn.abs() - quarter).abs() < 1e-12), "{seen:?}");
    }
}
