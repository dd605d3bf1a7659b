//! Every detector class of pyFAI 2026.9.0: made by scripts/detectors.py, not by hand.

use super::Masking::*;
use super::PixelLayout::*;
use super::PixelSizes::*;
use super::{Class, Turn, class_table};

#[rustfmt::skip]
const KEYS_0: &[&str] = &["pixel1", "pixel2", "max_shape", "module_size", "orientation", "sensor"];
#[rustfmt::skip]
const KEYS_1: &[&str] = &["pixel1", "pixel2", "max_shape", "module_size", "x_offset_file", "y_offset_file", "orientation", "sensor"];
#[rustfmt::skip]
const KEYS_2: &[&str] = &["pixel1", "pixel2", "splinefile", "max_shape", "orientation", "sensor"];
#[rustfmt::skip]
const KEYS_3: &[&str] = &["splinefile", "orientation"];
#[rustfmt::skip]
const KEYS_4: &[&str] = &["pitch", "pixel1", "pixel2", "max_shape", "orientation"];
#[rustfmt::skip]
const KEYS_5: &[&str] = &["pixel1", "pixel2", "radius", "orientation"];
#[rustfmt::skip]
const KEYS_6: &[&str] = &["pixel1", "pixel2", "max_shape", "orientation"];
#[rustfmt::skip]
const KEYS_7: &[&str] = &["pixel1", "pixel2", "max_shape", "orientation", "sensor"];

/// First row and column of each chip of a Jungfrau 8M.
#[rustfmt::skip]
static JUNGFRAU_8M: [(usize, usize); 128] = [
    (1, 607), (1, 866), (1, 1124), (1, 1382), (69, 1646), (69, 1905), (69, 2163), (69, 2421),
    (259, 607), (259, 866), (259, 1124), (259, 1382), (328, 1646), (328, 1905), (328, 2163), (328, 2421),
    (550, 607), (550, 866), (550, 1124), (550, 1382), (619, 1646), (619, 1905), (619, 2163), (619, 2421),
    (667, 2698), (667, 2957), (809, 607), (809, 866), (809, 1124), (809, 1382), (597, 69), (597, 328),
    (856, 69), (856, 328), (878, 1646), (878, 1905), (878, 2163), (878, 2421), (926, 2698), (926, 2957),
    (1185, 2698), (1185, 2957), (1100, 607), (1100, 866), (1100, 1124), (1100, 1382), (1114, 69), (1114, 328),
    (1169, 1646), (1169, 1905), (1169, 2163), (1169, 2421), (1359, 607), (1359, 866), (1359, 1124), (1359, 1382),
    (1372, 69), (1372, 328), (1428, 1646), (1428, 1905), (1428, 2163), (1428, 2421), (1442, 2698), (1442, 2957),
    (1636, 1), (1636, 259), (1650, 538), (1650, 797), (1650, 1055), (1650, 1313), (1706, 2629), (1706, 2888),
    (1719, 1577), (1719, 1836), (1719, 2094), (1719, 2352), (1895, 1), (1895, 259), (1909, 538), (1909, 797),
    (1909, 1055), (1909, 1313), (1965, 2629), (1965, 2888), (1978, 1577), (1978, 1836), (1978, 2094), (1978, 2352),
    (2153, 1), (2153, 259), (2200, 538), (2200, 797), (2200, 1055), (2200, 1313), (2223, 2629), (2223, 2888),
    (2269, 1577), (2269, 1836), (2269, 2094), (2269, 2352), (2411, 1), (2411, 259), (2459, 538), (2459, 797),
    (2459, 1055), (2459, 1313), (2481, 2629), (2481, 2888), (2528, 1577), (2528, 1836), (2528, 2094), (2528, 2352),
    (2750, 538), (2750, 797), (2750, 1055), (2750, 1313), (2819, 1577), (2819, 1836), (2819, 2094), (2819, 2352),
    (3009, 538), (3009, 797), (3009, 1055), (3009, 1313), (3078, 1577), (3078, 1836), (3078, 2094), (3078, 2352),
];

/// Every class; those without a size, which only others are made of, first.
pub static CLASSES: &[Class] = class_table! {
    "Eiger", [], None, Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (37, 10), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2", [], None, Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe", [], None, Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Pilatus", [], None, Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "PilatusCdTe", [], None, Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: Some((-1, 3)) }, Some((-2, 1.5)), KEYS_1;
    "Pilatus4", [], None, Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_CdTe", [], None, Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: Some((0, 1)) }, Some((-2, 1.5)), KEYS_0;
    "ADSC_Q315", ["Quantum 315"], Some((6144, 6144)), None, (5.1e-05, 5.1e-05), Binned(5.1e-05, 5.1e-05), Grid,
        Nothing, None, KEYS_2;
    "ADSC_Q210", ["Quantum 210"], Some((4096, 4096)), None, (5.1e-05, 5.1e-05), Binned(5.1e-05, 5.1e-05), Grid,
        Nothing, None, KEYS_2;
    "ADSC_Q270", ["Quantum 270"], Some((4168, 4168)), None, (5.1e-05, 5.1e-05), Binned(5.1e-05, 5.1e-05), Grid,
        Nothing, None, KEYS_2;
    "ADSC_Q4", ["Quantum 4"], Some((2304, 2304)), None, (5.1e-05, 5.1e-05), Binned(5.1e-05, 5.1e-05), Grid,
        Nothing, None, KEYS_2;
    "HF_130K", ["HF-130k"], Some((256, 512)), None, (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Nothing, None, KEYS_2;
    "HF_262k", ["HF-262k"], Some((512, 512)), None, (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Nothing, None, KEYS_2;
    "HF_1M", ["HF-1M"], Some((1024, 1024)), None, (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Nothing, None, KEYS_2;
    "HF_2M", ["HF-2.4M"], Some((1536, 1536)), None, (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Nothing, None, KEYS_2;
    "HF_4M", ["HF-4M"], Some((2048, 2048)), None, (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Nothing, None, KEYS_2;
    "HF_9M", ["HF-9.4M"], Some((3072, 3072)), None, (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Nothing, None, KEYS_2;
    "Eiger500k", ["Eiger 500k"], Some((514, 1030)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (37, 10), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger1M", ["Eiger 1M"], Some((1065, 1030)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (37, 10), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger4M", ["Eiger 4M"], Some((2167, 2070)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (37, 10), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger9M", ["Eiger 9M"], Some((3269, 3110)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (37, 10), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger16M", ["Eiger 16M"], Some((4371, 4150)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (37, 10), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_250k", ["Eiger2 250k"], Some((512, 512)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_500k", ["Eiger2 500k"], Some((512, 1028)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_1M", ["Eiger2 1M"], Some((1062, 1028)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_1MW", ["Eiger2 1M-W"], Some((512, 2068)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_2MW", ["Eiger2 2M-W"], Some((512, 4148)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_4M", ["Eiger2 4M"], Some((2162, 2068)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_9M", ["Eiger2 9M"], Some((3262, 3108)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2_16M", ["Eiger2 16M"], Some((4362, 4148)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe_500k", ["Eiger2 CdTe 500k"], Some((512, 1028)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe_1M", ["Eiger2 CdTe 1M"], Some((1062, 1028)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe_1MW", ["Eiger2 CdTe 1M-W"], Some((512, 2068)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe_2MW", ["Eiger2 CdTe 2M-W"], Some((512, 4148)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe_4M", ["Eiger2 CdTe 4M"], Some((2162, 2068)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe_9M", ["Eiger2 CdTe 9M"], Some((3262, 3108)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Eiger2CdTe_16M", ["Eiger2 CdTe 16M"], Some((4362, 4148)), Some((512, 1028)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (38, 12), wafer: Some((-1, 2)) }, Some((-2, 1.5)), KEYS_0;
    "Mythen", ["Mythen 1280"], Some((1, 1280)), None, (0.008, 5e-05), Binned(0.008, 5e-05), Grid,
        Nothing, None, KEYS_2;
    "Pilatus100k", ["Pilatus 100k"], Some((195, 487)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "Pilatus200k", ["Pilatus 200k"], Some((407, 487)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "Pilatus300k", ["Pilatus 300k"], Some((619, 487)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "Pilatus300kw", ["Pilatus 300kw"], Some((195, 1475)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "Pilatus900k", ["Pilatus 900k"], Some((619, 1475)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "Pilatus1M", ["Pilatus 1M"], Some((1043, 981)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "Pilatus2M", ["Pilatus 2M"], Some((1679, 1475)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "Pilatus6M", ["Pilatus 6M"], Some((2527, 2463)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: None }, Some((-2, 1.5)), KEYS_1;
    "PilatusCdTe300k", ["Pilatus CdTe 300k", "Pilatus 300k CdTe", "Pilatus300k CdTe", "Pilatus300kCdTe"], Some((619, 487)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: Some((-1, 3)) }, Some((-2, 1.5)), KEYS_1;
    "PilatusCdTe300kw", ["Pilatus CdTe 300kw", "Pilatus 300kw CdTe", "Pilatus300kw CdTe", "Pilatus300kwCdTe"], Some((195, 1475)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: Some((-1, 3)) }, Some((-2, 1.5)), KEYS_1;
    "PilatusCdTe900kw", ["Pilatus CdTe 900kw", "Pilatus 900kw CdTe", "Pilatus900kw CdTe", "Pilatus900kwCdTe"], Some((195, 4439)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: Some((-1, 3)) }, Some((-2, 1.5)), KEYS_1;
    "PilatusCdTe1M", ["Pilatus CdTe 1M", "Pilatus 1M CdTe", "Pilatus1M CdTe", "Pilatus1MCdTe"], Some((1043, 981)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: Some((-1, 3)) }, Some((-2, 1.5)), KEYS_1;
    "PilatusCdTe2M", ["Pilatus CdTe 2M", "Pilatus 2M CdTe", "Pilatus2M CdTe", "Pilatus2MCdTe"], Some((1679, 1475)), Some((195, 487)), (0.000172, 0.000172), Binned(0.000172, 0.000172), Grid,
        Modules { gap: (17, 7), wafer: Some((-1, 3)) }, Some((-2, 1.5)), KEYS_1;
    "Pilatus4_1M", ["Pilatus4 1M"], Some((1080, 1033)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_2M", ["Pilatus4 2M"], Some((1630, 1553)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_4M", ["Pilatus4 4M"], Some((2180, 2073)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_260k", ["Pilatus4 260k"], Some((530, 513)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_260kw", ["Pilatus4 260kw"], Some((255, 1033)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_CdTe_1M", ["Pilatus4 1M CdTe"], Some((1080, 1033)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: Some((0, 1)) }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_CdTe_2M", ["Pilatus4 2M CdTe"], Some((1630, 1553)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: Some((0, 1)) }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_CdTe_4M", ["Pilatus4 4M CdTe"], Some((2180, 2073)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: Some((0, 1)) }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_CdTe_260k", ["Pilatus4 260k CdTe"], Some((530, 513)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: Some((0, 1)) }, Some((-2, 1.5)), KEYS_0;
    "Pilatus4_CdTe_260kw", ["Pilatus4 260kw CdTe"], Some((255, 1033)), Some((255, 513)), (0.00015, 0.00015), Binned(0.00015, 0.00015), Grid,
        Modules { gap: (20, 7), wafer: Some((0, 1)) }, Some((-2, 1.5)), KEYS_0;
    "FReLoN", [], Some((2048, 2048)), None, (5e-05, 5e-05), Fixed, Grid,
        Nothing, None, KEYS_3;
    "Maxipix", ["Maxipix 1x1", "Maxipix1x1"], Some((256, 256)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, None, KEYS_0;
    "Maxipix2x2", ["Maxipix 2x2"], Some((516, 516)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, None, KEYS_0;
    "Maxipix5x1", ["Maxipix 5x1"], Some((256, 1296)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, None, KEYS_0;
    "Pixirad1", ["Pixirad-1"], Some((476, 512)), None, (5.196152422706632e-05, 6e-05), Fixed, Hexagons(6e-05),
        Nothing, None, KEYS_4;
    "Pixirad2", ["Pixirad-2"], Some((476, 1024)), None, (5.196152422706632e-05, 6e-05), Fixed, Hexagons(6e-05),
        Nothing, None, KEYS_4;
    "Pixirad4", ["Pixirad-4"], Some((476, 2048)), None, (5.196152422706632e-05, 6e-05), Fixed, Hexagons(6e-05),
        Nothing, None, KEYS_4;
    "Pixirad8", ["Pixirad-8"], Some((476, 4096)), None, (5.196152422706632e-05, 6e-05), Fixed, Hexagons(6e-05),
        Nothing, None, KEYS_4;
    "ImXPadS10", ["Imxpad S10"], Some((120, 80)), Some((120, 80)), (0.00013, 0.00013), Binned(0.00013, 0.00013), Tiles { border: 2.5, turn: Turn::Corners },
        Borders, None, KEYS_0;
    "ImXPadS70", ["Imxpad S70"], Some((120, 560)), Some((120, 80)), (0.00013, 0.00013), Binned(0.00013, 0.00013), Tiles { border: 2.5, turn: Turn::Corners },
        Borders, None, KEYS_0;
    "ImXPadS70V", ["Imxpad S70 V"], Some((560, 120)), Some((80, 120)), (0.00013, 0.00013), Binned(0.00013, 0.00013), Tiles { border: 2.5, turn: Turn::Corners },
        Borders, None, KEYS_0;
    "ImXPadS140", ["Imxpad S140"], Some((240, 560)), Some((120, 80)), (0.00013, 0.00013), Binned(0.00013, 0.00013), Tiles { border: 2.5, turn: Turn::Corners },
        Borders, None, KEYS_0;
    "Xpad_flat", ["Xpad S540 flat", "d5"], Some((960, 560)), Some((120, 80)), (0.00013, 0.00013), Binned(0.00013, 0.00013), Spaced { border: 2.5, gap: (0.00357, 0.0) },
        Borders, None, KEYS_0;
    "Cirpad", ["CirPAD", "XCirpad"], Some((11200, 120)), Some((80, 120)), (0.00013, 0.00013), Binned(0.00013, 0.00013), Cirpad,
        Borders, None, KEYS_0;
    "Aarhus", [], Some((1000, 16000)), None, (2.4893e-05, 2.4893e-05), Free, Cylinder(0.29989),
        Nothing, None, KEYS_5;
    "Rapid", ["RapidII"], Some((2560, 4700)), None, (0.0001, 0.0001), Free, Cylinder(0.12726),
        Nothing, None, KEYS_5;
    "Fairchild", ["Fairchild", "Condor", "Fairchild Condor 486:90"], Some((4096, 4096)), None, (1.5e-05, 1.5e-05), Binned(1.5e-05, 1.5e-05), Grid,
        Nothing, None, KEYS_2;
    "Titan", ["Titan 2k x 2k", "OXD Titan", "Agilent Titan"], Some((2048, 2048)), None, (6e-05, 6e-05), Binned(6e-05, 6e-05), Grid,
        Nothing, None, KEYS_2;
    "Dexela2923", ["Dexela 2923"], Some((3888, 3072)), None, (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Nothing, None, KEYS_2;
    "Basler", ["aca1300"], Some((966, 1296)), None, (3.75e-06, 3.75e-06), Binned(3.75e-06, 3.75e-06), Grid,
        Nothing, None, KEYS_2;
    "Perkin", ["Perkin detector", "Perkin Elmer"], Some((4096, 4096)), None, (0.0002, 0.0002), Halves(200e-6), Grid,
        Nothing, None, KEYS_6;
    "Pixium", ["Pixium 4700", "Pixium 4700 detector", "Thales Electronics"], Some((1910, 2480)), None, (0.000308, 0.000308), Multiples(154e-6), Grid,
        Nothing, None, KEYS_6;
    "Apex2", ["ApexII", "Bruker"], Some((1024, 1024)), None, (0.00012, 0.00012), Binned(0.00012, 0.00012), Grid,
        Nothing, None, KEYS_6;
    "RaspberryPi5M", ["Picam v1"], Some((1944, 2592)), None, (1.4e-06, 1.4e-06), Binned(1.4e-06, 1.4e-06), Grid,
        Nothing, None, KEYS_2;
    "RaspberryPi8M", ["Picam v2"], Some((2464, 3280)), None, (1.12e-06, 1.12e-06), Binned(1.12e-06, 1.12e-06), Grid,
        Nothing, None, KEYS_2;
    "RaspberryPi12M", ["Picam HQ"], Some((3040, 4056)), None, (1.55e-06, 1.55e-06), Binned(1.55e-06, 1.55e-06), Grid,
        Nothing, None, KEYS_2;
    "Jungfrau", ["Jungfrau 500k"], Some((512, 1024)), Some((256, 256)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Tiles { border: 2.0, turn: Turn::Integrated },
        Nothing, None, KEYS_0;
    "Jungfrau4M", ["Jungfrau 4M"], Some((2164, 2068)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (36, 8), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Jungfrau1M", ["Jungfrau 1M"], Some((1064, 1030)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Grid,
        Modules { gap: (36, 8), wafer: None }, Some((-2, 1.5)), KEYS_0;
    "Jungfrau8M", ["Jungfrau 8M"], Some((3333, 3212)), Some((256, 256)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Tiles { border: 2.0, turn: Turn::Integrated },
        Chips(&JUNGFRAU_8M), None, KEYS_0;
    "Jungfrau_16M_cor", ["Jungfrau 16M cor"], Some((16448, 1030)), Some((514, 1030)), (7.5e-05, 7.5e-05), Binned(7.5e-05, 7.5e-05), Tiles { border: 2.0, turn: Turn::Integrated },
        Lines(&[(255, 4), (769, 4), (1283, 4), (1797, 4), (2311, 4), (2825, 4), (3339, 4), (3853, 4), (4367, 4), (4881, 4), (5395, 4), (5909, 4), (6423, 4), (6937, 4), (7451, 4), (7965, 4), (8479, 4), (8993, 4), (9507, 4), (10021, 4), (10535, 4), (11049, 4), (11563, 4), (12077, 4), (12591, 4), (13105, 4), (13619, 4), (14133, 4), (14647, 4), (15161, 4), (15675, 4), (16189, 4)], &[(255, 4), (513, 4), (771, 4)]), None, KEYS_0;
    "Rayonix133", ["Rayonix133", "MAR 133", "MAR133"], Some((4096, 4096)), None, (6.4e-05, 6.4e-05), Modes(&[(1, 3.2e-05), (2, 6.4e-05), (4, 0.000128), (8, 0.000256)]), Grid,
        Disc, None, KEYS_7;
    "RayonixSx165", ["Rayonix SX165", "MAR 165", "MAR165"], Some((4096, 4096)), None, (3.95e-05, 3.95e-05), Modes(&[(1, 3.95e-05), (2, 7.9e-05), (3, 0.000118616), (4, 0.000158), (8, 0.000316)]), Grid,
        Disc, None, KEYS_7;
    "RayonixSx200", ["Rayonix SX200"], Some((4096, 4096)), None, (4.8e-05, 4.8e-05), Modes(&[(1, 4.8e-05), (2, 9.6e-05), (3, 0.000144), (4, 0.000192), (8, 0.000384)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixLx170", ["Rayonix LX170", "Rayonix LX170-HS", "Rayonix LX170 HS", "RayonixLX170HS"], Some((1920, 3840)), None, (4.42708e-05, 4.42708e-05), Modes(&[(1, 4.42708e-05), (2, 8.85417e-05), (3, 0.0001328125), (4, 0.0001770833), (5, 0.0002213542), (6, 0.000265625), (8, 0.0003541667), (10, 0.0004427083)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx170", ["Rayonix MX170", "Rayonix MX170-HS", "RayonixMX170HS", "Rayonix MX170 HS"], Some((3840, 3840)), None, (4.42708e-05, 4.42708e-05), Modes(&[(1, 4.42708e-05), (2, 8.85417e-05), (3, 0.0001328125), (4, 0.0001770833), (5, 0.0002213542), (6, 0.000265625), (8, 0.0003541667), (10, 0.0004427083)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixLx255", ["Rayonix LX255", "Rayonix LX255-HS", "Rayonix LX 255HS", "RayonixLX225HS"], Some((1920, 5760)), None, (4.42708e-05, 4.42708e-05), Modes(&[(1, 4.42708e-05), (2, 8.85417e-05), (3, 0.0001328125), (4, 0.0001770833), (5, 0.0002213542), (6, 0.000265625), (8, 0.0003541667), (10, 0.0004427083)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx225", ["Rayonix MX225", "MAR 225", "MAR225"], Some((6144, 6144)), None, (7.3242e-05, 7.3242e-05), Modes(&[(1, 3.6621e-05), (2, 7.3242e-05), (3, 0.000109971), (4, 0.000146484), (8, 0.000292969)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx225hs", ["Rayonix MX225HS", "Rayonix MX225 HS"], Some((5760, 5760)), None, (7.8125e-05, 7.8125e-05), Modes(&[(1, 3.90625e-05), (2, 7.8125e-05), (3, 0.0001171875), (4, 0.00015625), (5, 0.0001953125), (6, 0.000234375), (8, 0.0003125), (10, 0.000390625)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx300", ["Rayonix MX300", "MAR 300", "MAR300"], Some((8192, 8192)), None, (7.3242e-05, 7.3242e-05), Modes(&[(1, 3.6621e-05), (2, 7.3242e-05), (3, 0.000109971), (4, 0.000146484), (8, 0.000292969)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx300hs", ["Rayonix MX300HS", "Rayonix MX300 HS"], Some((7680, 7680)), None, (7.8125e-05, 7.8125e-05), Modes(&[(1, 3.90625e-05), (2, 7.8125e-05), (3, 0.0001171875), (4, 0.00015625), (5, 0.0001953125), (6, 0.000234375), (8, 0.0003125), (10, 0.000390625)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx340hs", ["Rayonix MX340HS"], Some((7680, 7680)), None, (8.85417e-05, 8.85417e-05), Modes(&[(1, 4.42708e-05), (2, 8.85417e-05), (3, 0.0001328125), (4, 0.0001770833), (5, 0.0002213542), (6, 0.000265625), (8, 0.0003541667), (10, 0.0004427083)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixSx30hs", ["Rayonix SX30HS", "Rayonix SX30 HS"], Some((1920, 1920)), None, (1.5625e-05, 1.5625e-05), Modes(&[(1, 1.5625e-05), (2, 3.125e-05), (3, 4.6875e-05), (4, 6.25e-05), (5, 7.8125e-05), (6, 9.375e-05), (8, 0.000125), (10, 0.00015625)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixSx85hs", ["Rayonix SX85HS", "Rayonix SX85 HS"], Some((1920, 1920)), None, (4.42708e-05, 4.42708e-05), Modes(&[(1, 4.42708e-05), (2, 8.85417e-05), (3, 0.0001328125), (4, 0.0001770833), (5, 0.0002213542), (6, 0.000265625), (8, 0.0003541667), (10, 0.0004427083)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx425hs", ["Rayonix MX425HS", "Rayonix MX425 HS"], Some((9600, 9600)), None, (4.42708e-05, 4.42708e-05), Modes(&[(1, 4.42708e-05), (2, 8.85417e-05), (3, 0.0001328125), (4, 0.0001770833), (5, 0.0002213542), (6, 0.000265625), (8, 0.0003541667), (10, 0.0004427083)]), Grid,
        Nothing, None, KEYS_7;
    "RayonixMx325", ["Rayonix MX325"], Some((8192, 8192)), None, (7.9346e-05, 7.9346e-05), Modes(&[(1, 3.9673e-05), (2, 7.9346e-05), (3, 0.000119135), (4, 0.000158691), (8, 0.000317383)]), Grid,
        Nothing, None, KEYS_7;
    "Mar345", ["MAR 345", "Mar3450"], Some((3450, 3450)), None, (0.0001, 0.0001), Scaled(100e-6), Grid,
        Disc, None, KEYS_7;
    "Mar555", ["MAR 555"], Some((3072, 2560)), None, (0.000139, 0.000139), Free, Grid,
        Nothing, None, KEYS_7;
    "Lambda60k", ["Lambda 60k"], Some((256, 256)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, Some((0, 1.1920928955078125e-07)), KEYS_0;
    "Lambda250k", ["Lambda 250k"], Some((516, 516)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, Some((0, 1.1920928955078125e-07)), KEYS_0;
    "Lambda750k", ["Lambda 750k"], Some((516, 1556)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, Some((0, 1.1920928955078125e-07)), KEYS_0;
    "Lambda2M", ["Lambda 2M"], Some((1556, 1556)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, Some((0, 1.1920928955078125e-07)), KEYS_0;
    "Lambda7M5", ["Lambda 7.5M"], Some((2596, 2596)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, Some((0, 1.1920928955078125e-07)), KEYS_0;
    "Lambda10M", ["Lambda 10M"], Some((2596, 4676)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Modules { gap: (4, 4), wafer: None }, Some((0, 1.1920928955078125e-07)), KEYS_0;
    "Lambda9M", ["Lambda 9M"], Some((3868, 3227)), Some((256, 256)), (5.5e-05, 5.5e-05), Binned(5.5e-05, 5.5e-05), Grid,
        Nothing, Some((0, 1.1920928955078125e-07)), KEYS_0;
};
