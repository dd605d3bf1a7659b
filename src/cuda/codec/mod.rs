//! Packed frames on the device: decoded, and compared with their digests; a file a unit of `cuda/codec/`.

pub mod byte_offset;
pub mod md5;

use super::params;
use crate::frame::{Codec, PixelType};

/// Whether frames of that codec can be decoded on a device; of others readers decode.
pub const fn decodes(codec: Codec) -> bool {
    match codec {
        Codec::Raw | Codec::ByteOffset => true,
        Codec::Filtered(_) => false,
    }
}

/// The number that params.h gives a pixel type; `None` when no kernel knows it.
pub const fn pixel_code(pixel: PixelType) -> Option<u32> {
    Some(match pixel {
        PixelType::I8 => params::XRDCT_I8,
        PixelType::U8 => params::XRDCT_U8,
        PixelType::I16 => params::XRDCT_I16,
        PixelType::U16 => params::XRDCT_U16,
        PixelType::I32 => params::XRDCT_I32,
        PixelType::U32 => params::XRDCT_U32,
        PixelType::I64 => params::XRDCT_I64,
        PixelType::U64 => params::XRDCT_U64,
        PixelType::F32 | PixelType::F64 => return None,
    })
}
