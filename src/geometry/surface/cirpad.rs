//! The CirPAD: twenty modules of 560 × 120 pixels, each turned by 6.74° against the one before it, rows along the arc.

/// Pixels of a module along the arc.
const ROWS: usize = 560;
/// Pixels of a chip along the arc; where two meet pixels are larger.
const CHIP: usize = 80;
const PIXEL: f64 = 130e-6;
const LARGER: f64 = 2.5;
/// Between two modules, degrees.
const TURN: f64 = 6.74;
/// Length of a module along the arc with the gap after it, metres.
const PITCH: f64 = (560.0 + 3.0 * 6.0 + 20.0) * 0.13 / 1000.0;

/// Places of its pixels.
#[derive(Debug, Clone)]
pub(super) struct Cirpad {
    /// Lower and upper edge of each row of a module, and of each column.
    rows: Vec<[f64; 2]>,
    columns: Vec<[f64; 2]>,
    modules: Vec<Module>,
}

/// How a module is turned, and where to.
#[derive(Debug, Clone)]
struct Module {
    sine: f64,
    cosine: f64,
    /// What becomes of a place along the axis of the turn: 1, to the last bit or two.
    along: f64,
    behind: f64,
    slow: f64,
}

impl Cirpad {
    /// A detector of so many rows and columns.
    pub(super) fn new(rows: usize, columns: usize) -> Cirpad {
        let sizes = super::line_sizes(ROWS, CHIP, LARGER, PIXEL);
        let edges = super::edges(&sizes);
        let between = |low: f64, high: f64| [f64::from(low as f32), f64::from(high as f32)];
        let row = |i: usize| {
            let centre = sizes[i] / 2.0 + edges[i];
            between(centre - sizes[i] / 2.0, centre + sizes[i] / 2.0)
        };
        let half = PIXEL as f32 / 2.0;
        let mut before = 0.0_f32;
        let column = |i: usize| {
            if i > 0 {
                before += PIXEL as f32;
            }
            let centre = if i > 0 { half + before } else { half };
            between((centre - half).into(), (centre + half).into())
        };
        Cirpad {
            rows: (0..ROWS).map(row).collect(),
            columns: (0..columns).map(column).collect(),
            modules: (0..rows.div_ceil(ROWS)).map(Module::new).collect(),
        }
    }

    /// A corner: behind the plane, along slow and fast; corners go round from the first.
    pub(super) fn corner(&self, row: usize, column: usize, corner: usize) -> [f64; 3] {
        let module = &self.modules[row / ROWS];
        let y = self.rows[row % ROWS][usize::from(corner == 1 || corner == 2)];
        let x = self.columns[column][usize::from(corner >= 2)];
        [-module.sine * y + module.behind, module.cosine * y + module.slow, module.along * x]
    }
}

impl Module {
    fn new(index: usize) -> Module {
        let turned = -TURN * index as f64;
        let (sine, cosine) = turned.to_radians().sin_cos();
        let back = |n: usize| (-turned - TURN * n as f64).to_radians();
        let behind: f64 = (1..index).map(|n| back(n).sin()).sum();
        let slow: f64 = (1..=index).map(|n| back(n).cos()).sum();
        Module { sine, cosine, along: cosine + (1.0 - cosine), behind: PITCH * behind, slow: PITCH * slow }
    }
}
