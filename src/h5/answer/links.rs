//! Looks at links with the library, and lets it follow none to another file.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::raw::{c_int, c_uint};

use hdf5::Group;
use hdf5_sys::h5l::{H5Lget_info2, H5Lget_val, H5Lunpack_elink_val};
use hdf5_sys::h5o::H5Oget_info_by_name3;
use hdf5_sys::h5p::H5P_DEFAULT;

use super::{group, said, storage};
use crate::h5::links::{Behind, Found, Member, Outward, Thing};
use crate::h5::{Error, Result};

/// Links inside a file that are followed one after the other.
const MOST_LINKS: usize = 64;

/// Longest text of a link.
const LONGEST: usize = 64 << 10;

/// Deepest name.
const DEEPEST: usize = 256;

/// `H5L_info2_t` with a number where the binding has an enum: a file may hold a kind of link that it has no word for.
#[repr(C)]
#[derive(Default)]
struct LinkFacts {
    kind: c_int,
    order_is_known: hdf5_sys::h5::hbool_t,
    order: i64,
    characters: c_int,
    /// Token of a hard link; size of what another one says.
    value: [u64; 2],
}

/// `H5O_info2_t`, likewise.
#[repr(C)]
#[derive(Default)]
struct ObjectFacts {
    file: std::os::raw::c_ulong,
    token: [u8; 16],
    kind: c_int,
    links: c_uint,
    times: [i64; 4],
    attributes: u64,
}

const _: () = {
    assert!(size_of::<LinkFacts>() == size_of::<hdf5_sys::h5l::H5L_info2_t>());
    assert!(size_of::<ObjectFacts>() == size_of::<hdf5_sys::h5o::H5O_info2_t>());
};

/// A link of a group.
enum Link {
    Hard,
    Soft(String),
    External { file: Vec<u8>, path: String },
    Unknown,
}

/// Where a name leads.
pub(super) fn follow(file: &hdf5::File, path: &str) -> Result<Found> {
    let mut ahead: VecDeque<String> = names(path);
    let mut at = String::new();
    let (mut links, mut depth) = (0, 0);
    while let Some(name) = ahead.pop_front() {
        let here = format!("{at}/{name}");
        match link(file, &here)? {
            None | Some(Link::Unknown) => return Ok(Found::Nothing { at: here }),
            Some(Link::Hard) => {
                depth += 1;
                at = here;
            }
            Some(Link::Soft(target)) => {
                links += 1;
                if target.starts_with('/') {
                    (at, depth) = (String::new(), 0);
                }
                for name in names(&target).into_iter().rev() {
                    ahead.push_front(name);
                }
            }
            Some(Link::External { file, path }) => {
                let rest = ahead.iter().fold(path, |path, name| format!("{path}/{name}"));
                return Ok(Found::Elsewhere(Outward::new(here, file, rest)));
            }
        }
        if links > MOST_LINKS || depth > DEEPEST || ahead.len() > DEEPEST {
            return Err(format!("`{path}`: its links do not come to an end").into());
        }
    }
    let what = thing(file, &at)?;
    Ok(Found::Here { path: if at.is_empty() { "/".into() } else { at }, what })
}

/// What is in a group.
pub(super) fn members(file: &hdf5::File, of: &Group, path: &str) -> Result<Vec<Member>> {
    let path = path.trim_end_matches('/');
    let member = |name: String| {
        let here = format!("{path}/{name}");
        let behind = match link(file, &here)? {
            Some(Link::Hard) => Behind::Thing(thing(file, &here)?),
            Some(Link::Soft(target)) => Behind::Name(target),
            Some(Link::External { file, path }) => Behind::Outward(Outward::new(here, file, path)),
            None | Some(Link::Unknown) => Behind::Thing(Thing::Other),
        };
        Ok(Member { name, behind })
    };
    of.member_names().map_err(said)?.into_iter().map(member).collect()
}

fn names(path: &str) -> VecDeque<String> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).map(str::to_owned).collect()
}

/// The link of this name, whose groups are all known to be in this file.
fn link(file: &hdf5::File, path: &str) -> Result<Option<Link>> {
    let Ok(name) = CString::new(path) else { return Ok(None) };
    let _lock = hdf5_sys::LOCK.lock();
    let mut facts = LinkFacts::default();
    // SAFETY: the library is locked, the file is open, the name ends with a zero; `LinkFacts` has the fields of what is filled.
    let code = unsafe { H5Lget_info2(file.id(), name.as_ptr(), (&raw mut facts).cast(), H5P_DEFAULT) };
    if code < 0 {
        return Ok(None);
    }
    if facts.kind == 0 {
        return Ok(Some(Link::Hard));
    }
    let size = usize::try_from(facts.value[0]).ok().filter(|&size| size <= LONGEST);
    let size = size.ok_or_else(|| format!("`{path}`: a link of {} bytes", facts.value[0]))?;
    // One more than is filled: whatever comes, it ends.
    let mut text = vec![0_u8; size + 1];
    // SAFETY: as above; no more than `size` bytes are written.
    hdf5::h5check(unsafe {
        H5Lget_val(file.id(), name.as_ptr(), text.as_mut_ptr().cast(), size, H5P_DEFAULT)
    })
    .map_err(said)?;
    Ok(Some(match facts.kind {
        1 => Link::Soft(words(CStr::from_bytes_until_nul(&text).unwrap_or_default())),
        64 => {
            let (mut flags, mut of, mut at) = (0, std::ptr::null(), std::ptr::null());
            // SAFETY: as above; the two pointers are set to places in `text`, whose last byte is a zero.
            hdf5::h5check(unsafe {
                H5Lunpack_elink_val(text.as_ptr().cast(), size, &raw mut flags, &raw mut of, &raw mut at)
            })
            .map_err(said)?;
            if of.is_null() || at.is_null() {
                return Err(format!("`{path}`: a link without a file").into());
            }
            // SAFETY: both point into `text`, which is alive and ends with a zero.
            let (of, at) = unsafe { (CStr::from_ptr(of), CStr::from_ptr(at)) };
            Link::External { file: of.to_bytes().to_vec(), path: words(at) }
        }
        _ => Link::Unknown,
    }))
}

fn words(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

/// What stands at a name without a link in it.
fn thing(file: &hdf5::File, path: &str) -> Result<Thing> {
    let name = CString::new(if path.is_empty() { "/" } else { path });
    let name = name.map_err(|_| Error::from("a name with a zero in it"))?;
    let mut facts = ObjectFacts::default();
    let code = {
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: as in `link`; 1 asks for the basic facts.
        unsafe { H5Oget_info_by_name3(file.id(), name.as_ptr(), (&raw mut facts).cast(), 1, H5P_DEFAULT) }
    };
    let [address, _] = *facts.token.as_chunks::<8>().0 else { return Ok(Thing::Other) };
    let address = u64::from_le_bytes(address);
    Ok(match facts.kind {
        _ if code < 0 => Thing::Other,
        0 if group(file, path).is_ok() => Thing::Group { address },
        1 => match file.dataset(path).and_then(|dataset| Ok((dataset.get_shape()?, dataset))) {
            Ok((shape, dataset)) => Thing::Dataset { address, shape, number: storage::number(&dataset)? },
            Err(_) => Thing::Other,
        },
        _ => Thing::Other,
    })
}
