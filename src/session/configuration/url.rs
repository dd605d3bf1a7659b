//! Names of images as silx and pyFAI write them, in the form that this program reads:
//! `silx:///a/m.h5?path=/entry/mask&slice=0` is `/a/m.h5::/entry/mask[0]`, `fabio:///a/m.edf` is `/a/m.edf`.

/// The name of an image, of a plain name or a URL; or why it cannot be had.
pub(super) fn image_name(text: &str) -> Result<String, String> {
    let Some(rest) = ["silx:", "fabio:"].iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return Ok(text.to_owned());
    };
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (file, query) = match (rest.split_once("::"), rest.split_once('?')) {
        (Some((file, path)), _) => (file, format!("path={path}")),
        (None, Some((file, query))) if query.contains('=') => (file, query.to_owned()),
        (None, Some((file, path))) => (file, format!("path={path}")),
        (None, None) => (rest, String::new()),
    };
    let (mut path, mut number) = (None, None);
    for (key, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        match key {
            // pyFAI-diffmap turns `m.h5::/entry/mask` into `fabio:/…/m.h5?slice=/entry/mask`.
            "path" => path = Some(value),
            "slice" if value.starts_with('/') => path = Some(value),
            "slice" => match value.parse::<usize>() {
                Ok(n) => number = Some(n),
                Err(_) => return Err(format!("slice={value}: only one image, by its number, can be chosen")),
            },
            _ => return Err(format!("{key}= is not known in the URL of an image")),
        }
    }
    match (path, number) {
        (None, None | Some(0)) => Ok(file.to_owned()),
        (None, Some(n)) => Err(format!("slice={n}: save that image in a file of its own")),
        (Some(path), None) => Ok(format!("{file}::{path}")),
        (Some(path), Some(n)) => Ok(format!("{file}::{path}[{n}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::image_name;

    #[test]
    fn urls_of_silx_and_pyfai() {
        for (url, name) in [
            ("m.npy", "m.npy"),
            ("m.h5::/entry/mask", "m.h5::/entry/mask"),
            ("silx:///a/m.h5?/entry/mask", "/a/m.h5::/entry/mask"),
            ("silx:///a/m.h5?path=/entry/mask&slice=0", "/a/m.h5::/entry/mask[0]"),
            ("silx:///a/m.h5::/entry/mask", "/a/m.h5::/entry/mask"),
            ("silx:m.h5::/entry/mask", "m.h5::/entry/mask"),
            ("fabio:/tmp/m.npy", "/tmp/m.npy"),
            ("fabio:///a/m.edf?slice=0", "/a/m.edf"),
            ("fabio:/tmp/m.h5?slice=/entry/mask", "/tmp/m.h5::/entry/mask"),
        ] {
            assert_eq!(image_name(url).as_deref(), Ok(name), "{url}");
        }
        for url in ["fabio:///a/m.edf?slice=3", "silx:///a/m.h5?path=/m&slice=0:2", "silx:///a/m.h5?x=1&y=2"]
        {
            assert!(image_name(url).is_err(), "{url}");
        }
    }
}
