//! Calibration images: every format that FabIO, NumPy and h5py write, and what is said about files that are none.
use std::fs;

use xrdct::source::image::{ImageError, read_image};

use crate::support::ask_oracle;

/// Version 1 of NumPy's format with this header and these bytes.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn what_is_not_an_image_is_said_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let good = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 2), }\n";
    let edf = |keys: &str, data: &str| format!("{{\n{keys}}}\n{data}").into_bytes();
    let edf_2_2 =
        "ByteOrder = LowByteFirst ;\nDataType = UnsignedByte ;\nDim_1 = 2 ;\nDim_2 = 2 ;\nSize = 4 ;\n";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "the file is empty"),
        (b"hello".to_vec(), "not a kind of image"),
        (b"\x93NUMPY\x09\x00aaaaaaa".to_vec(), "version"),
        (b"\x93NUMPY\x01\x00".to_vec(), "version"),
        (npy(good, &[0; 8])[..30].to_vec(), "ends within its header"),
        (npy(good, &[0; 7]), "2 x 2 pixels of 2 bytes do not fit into the 7 bytes"),
        (npy(&good.replace("<u2", "<c16"), &[0; 99]), "`<c16`"),
        (npy(&good.replace("'<u2'", "[('a', '<u2')]"), &[0; 8]), "records"),
        (npy(&good.replace("(2, 2)", "(2,)"), &[0; 8]), "the shape [2]"),
        (npy(&good.replace("(2, 2)", "(3, 2, 2)"), &[0; 99]), "there are 3 images"),
        (npy(&good.replace("(2, 2)", "(9223372036854775807, 9)"), &[0; 8]), "do not fit"),
        (npy(&good.replace("shape", "shade"), &[0; 8]), "no `shape`"),
        (b"{\nDim_1 = 2 ;".to_vec(), "no end"),
        (edf("Title = x ;\n", ""), "no Dim_1"),
        (edf(edf_2_2, "abc"), "2 x 2 pixels of 1 bytes do not fit into the 3 bytes"),
        (edf(&edf_2_2.replace("UnsignedByte", "Quaternion"), "abcd"), "`Quaternion`"),
        (edf(&edf_2_2.replace("Dim_1 = 2", "Dim_1 = two"), "abcd"), "`Dim_1` is `two`"),
        (edf(&format!("{edf_2_2}Compression = GZIP ;\n"), "abcd"), "GZIP compression cannot be undone"),
        ([edf(edf_2_2, "abcd"), edf(edf_2_2, "abcd")].concat(), "there are 2 images"),
        (b"II*\x00\x08\x00\x00\x00".to_vec(), "not a usable TIFF file"),
        (b"\x1f\x8bnot gzip at all".to_vec(), "cannot be read"),
    ];
    for (bytes, words) in cases {
        fs::write(&path, &bytes).unwrap();
        let message = read_image(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains("/image:"), "{words}: {message}");
    }
    let missing = read_image("no/such/file.npy").unwrap_err();
    assert!(matches!(missing, ImageError::Unreadable { .. }), "{missing}");
}

#[test]
fn images_in_hdf5_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5");
    let name = path.to_str().unwrap();
    let file = hdf5::File::create(&path).unwrap();
    file.new_dataset::<f32>().shape([4, 5, 6]).create("stack").unwrap();
    file.new_dataset::<f32>().shape([6]).create("line").unwrap();
    file.new_dataset::<hdf5::types::VarLenUnicode>().shape([2, 2]).create("text").unwrap();
    drop(file);
    for (dataset, words) in [
        ("", "needs the name of a dataset"),
        ("::/none", "no dataset `/none`"),
        ("::/", "no dataset `/`"),
        ("::/line", "the shape [6]"),
        ("::/stack", "there are 4 images"),
        ("::/stack[4]", "there is no image 4: it has 4"),
        ("::/text", "not numbers"),
    ] {
        let message = read_image(&format!("{name}{dataset}")).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains("x.h5"), "{dataset}: {message}");
    }
    let missing = read_image("no/such.h5::/data").unwrap_err();
    assert!(matches!(missing, ImageError::Unreadable { .. }), "{missing}");
    fs::write(&path, "text").unwrap();
    let message = read_image(&format!("{name}::/data")).unwrap_err().to_string();
    assert!(message.contains("not an HDF5 file"), "{message}");
}

mod needs_oracle {
    use super::*;

    #[test]
    fn images_are_what_fabio_numpy_and_h5py_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let list = ask_oracle("image.py", &[folder.path()]);
        assert!(list.lines().count() > 120, "{list}");
        for line in list.lines() {
            let [name, raw, slow, fast] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let image = read_image(name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!([image.shape.slow.to_string(), image.shape.fast.to_string()], [slow, fast], "{name}");
            let expected = fs::read(raw).unwrap();
            let expected: Vec<f64> = expected.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect();
            let same = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan();
            assert!(
                image.data.len() == expected.len() && image.data.iter().zip(&expected).all(same),
                "{name}"
            );
        }
    }
}
