//! Which way the frames of a run go: who makes pixels of them, who integrates.

use std::fmt;

use super::crew::{Crew, Decode};
use crate::frame::Codec;
use crate::source::About;

/// Which way frames go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameRoute {
    /// Who makes pixels of what the files hold.
    pub decoded: DecodedBy,
    /// Who integrates, as people call it: `the CPU`, `NVIDIA H100 80GB HBM3 (cuda:0)`.
    pub integrator: String,
}

/// Who makes pixels of what files hold, and how that is packed, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodedBy {
    /// Nobody: the files hold plain pixels.
    Nobody,
    /// The threads that read.
    Readers(String),
    /// Who integrates.
    Integrator(String),
}

impl FrameRoute {
    /// That of such frames with this crew.
    pub(super) fn of(crew: &Crew, about: &About, integrator: String) -> FrameRoute {
        let (codec, undone) = (about.encoding.codec, about.undone.as_deref());
        let decoded = match (codec, undone, crew.decode) {
            (Codec::Raw, None, _) => DecodedBy::Nobody,
            (Codec::Raw, Some(packed), _) => DecodedBy::Readers(packed.to_owned()),
            (_, _, Decode::Reader) => DecodedBy::Readers(codec.name().to_owned()),
            (_, _, Decode::Reducer) => DecodedBy::Integrator(codec.name().to_owned()),
        };
        FrameRoute { decoded, integrator }
    }
}

impl fmt::Display for FrameRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameRoute { decoded, integrator } = self;
        match decoded {
            DecodedBy::Nobody => write!(f, "plain pixels, integrated on {integrator}"),
            DecodedBy::Readers(packed) => {
                write!(f, "decoded by the readers ({packed}), integrated on {integrator}")
            }
            DecodedBy::Integrator(packed) => write!(f, "decoded ({packed}) and integrated on {integrator}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ChunkFilter, Encoding, FrameHeader, PixelType, Shape};

    #[test]
    fn each_crew_says_who_decodes() {
        let filtered = Codec::Filtered(ChunkFilter::BitshuffleLz4);
        let pool = Crew::decoding_pool(4);
        for (crew, codec, undone, words) in [
            (Crew::workers(3), filtered, None, "decoded (bitshuffle-LZ4) and integrated on it"),
            (Crew::SEQUENTIAL, Codec::ByteOffset, None, "decoded (byte-offset) and integrated on it"),
            (Crew::overlapped(8, 1), Codec::ByteOffset, None, "decoded (byte-offset) and integrated on it"),
            (pool, Codec::ByteOffset, None, "decoded by the readers (byte-offset), integrated on it"),
            (pool, filtered, None, "decoded by the readers (bitshuffle-LZ4), integrated on it"),
            (Crew::SEQUENTIAL, Codec::Raw, None, "plain pixels, integrated on it"),
            (pool, Codec::Raw, Some("gzip"), "decoded by the readers (gzip), integrated on it"),
        ] {
            let encoding = Encoding { codec, pixel: PixelType::U32, shape: Shape { slow: 1, fast: 1 } };
            let about = About {
                encoding,
                undone: undone.map(Into::into),
                count: None,
                slot_bytes: 4,
                columns: Default::default(),
                header: FrameHeader::default(),
                facts: Default::default(),
            };
            assert_eq!(FrameRoute::of(&crew, &about, "it".into()).to_string(), words);
        }
    }
}
