//! A reconstruction as the kernels take it, and what they are launched over.

use crate::cuda::driver::Launch;
use crate::cuda::params::{self, XrdctTomo, XrdctTurn, XrdctView};
use crate::tomo::iterative::Model;
use crate::tomo::project::View;
use crate::tomo::{Method, Reconstruction, fbp, filter};

const THREADS: usize = params::XRDCT_THREADS as usize;
const TILE: usize = params::XRDCT_TOMO_TILE as usize;
/// Planes of a group of bins.
pub(super) const PLANES: usize = params::XRDCT_TOMO_PLANES as usize;

/// Bins in whole groups, in planes of four.
pub(super) fn planes(tomo: &XrdctTomo) -> usize {
    (tomo.bins as usize).div_ceil(params::XRDCT_TOMO_BINS as usize) * PLANES
}

/// A thread an item, a row of blocks for each of `groups`.
pub(super) fn flat(items: usize, groups: usize) -> Launch {
    Launch { grid: (items.div_ceil(THREADS), groups), threads: THREADS, shared: 0 }
}

/// A block a tile of pixels, a row of blocks a group of bins.
pub(super) fn tiles(tomo: &XrdctTomo) -> Launch {
    let count = (tomo.rows as usize).div_ceil(TILE) * (tomo.columns as usize).div_ceil(TILE);
    Launch {
        grid: (count, planes(tomo) / PLANES),
        threads: params::XRDCT_TOMO_TILE_THREADS as usize,
        shared: 0,
    }
}

/// A reconstruction as the kernels take it (cuda/params.h).
#[derive(Debug, Clone, Default)]
pub struct Geometry {
    /// Rays and pixels; `bins` is 0.
    pub tomo: XrdctTomo,
    /// Whether each pixel is kept, 1 or 0.
    pub kept: Vec<u8>,
    /// FBP: the rotations.
    pub turns: Vec<XrdctTurn>,
    /// FBP: the filter.
    pub taps: Vec<f32>,
    /// SIRT, MLEM: the rotations.
    pub views: Vec<XrdctView>,
    /// SIRT, MLEM: 1 / row sums, one a ray.
    pub row_scales: Vec<f32>,
    /// SIRT, MLEM: 1 / column sums, one a pixel.
    pub column_scales: Vec<f32>,
}

impl Geometry {
    /// What a sound reconstruction means to the kernels.
    pub fn new(wanted: &Reconstruction) -> Geometry {
        let Reconstruction { rays, grid, method, .. } = wanted;
        let kept = wanted.kept();
        let mut geometry = Geometry {
            tomo: XrdctTomo {
                x0: grid.x0,
                y0: grid.y0,
                pixel: grid.pixel,
                axis: rays.axis as f32,
                least: f32::NEG_INFINITY,
                rotations: rays.angles.len() as u32,
                translations: rays.translations as u32,
                rows: grid.rows as u32,
                columns: grid.columns as u32,
                ..XrdctTomo::default()
            },
            kept: kept.iter().map(|&kept| u8::from(kept)).collect(),
            ..Geometry::default()
        };
        match *method {
            Method::Fbp { filter } => {
                let turn = |[cosine, sine, weight]: [f32; 3]| XrdctTurn {
                    cosine,
                    sine,
                    weight,
                    step: grid.pixel as f32 * cosine,
                };
                geometry.turns = fbp::turns(rays).into_iter().map(turn).collect();
                geometry.taps = filter::taps(filter, rays.translations);
            }
            Method::Sirt { .. } | Method::Mlem { .. } => {
                let Model { views, rows, columns, .. } = Model::new(rays, grid, &kept);
                let view = |View { origin, along_x, along_y, slope, height }| XrdctView {
                    origin,
                    along_x,
                    along_y,
                    slope,
                    height,
                };
                geometry.views = views.into_iter().map(view).collect();
                (geometry.row_scales, geometry.column_scales) = (rows, columns);
            }
        }
        if let Method::Sirt { non_negative: true, .. } = method {
            geometry.tomo.least = 0.0;
        }
        geometry
    }
}
