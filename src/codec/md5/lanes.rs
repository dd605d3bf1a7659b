//! Who is in which lane: messages of any lengths walk through [`LANES`] lanes, the next one taking the place of one that is done.
//!
//! A message is two stretches of whole blocks: its own bytes, then a tail of one or two blocks that ends in its length (RFC 1321,
//! 3.1 and 3.2). All lanes advance together to the nearest end of a stretch; a lane without a message repeats another's
//! work, and nobody looks at it.

use super::{Digest, LANES};

const BLOCK: usize = 64;

/// A, B, C, D of each lane.
pub(super) type State = [[u32; LANES]; 4];

/// Where each lane reads.
pub(super) type Messages = [*const u8; LANES];

/// RFC 1321, 3.3.
const START: [u32; 4] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

/// A message in a lane.
#[derive(Clone, Copy)]
struct Job {
    message: usize,
    /// First byte of the blocks that are left of this stretch.
    at: *const u8,
    blocks: usize,
    is_tail: bool,
}

/// The MD5 of each message. `add_blocks(state, rows, n)` adds `n` blocks of each row to the state of its lane; it may read
/// `64 n` bytes from each row.
pub(super) fn digests(messages: &[&[u8]], add_blocks: impl Fn(&mut State, &Messages, usize)) -> Vec<Digest> {
    let mut digests = vec![[0; 16]; messages.len()];
    let mut tails = [[0_u8; 2 * BLOCK]; LANES];
    let mut state: State = [[0; LANES]; 4];
    let mut jobs: [Option<Job>; LANES] = [None; LANES];
    let mut waiting = messages.iter().enumerate();
    loop {
        for lane in 0..LANES {
            // A stretch may be empty: a message shorter than a block is only a tail.
            while jobs[lane].is_none_or(|job| job.blocks == 0) {
                jobs[lane] = match jobs[lane] {
                    Some(job) if !job.is_tail => {
                        let blocks = fill_tail(&mut tails[lane], messages[job.message]);
                        Some(Job { at: tails[lane].as_ptr(), blocks, is_tail: true, ..job })
                    }
                    done => {
                        if let Some(job) = done {
                            digests[job.message] = digest_of(&state, lane);
                        }
                        let Some((message, bytes)) = waiting.next() else {
                            jobs[lane] = None;
                            break;
                        };
                        START.iter().zip(&mut state).for_each(|(start, word)| word[lane] = *start);
                        let (at, blocks) = (bytes.as_ptr(), bytes.len() / BLOCK);
                        Some(Job { message, at, blocks, is_tail: false })
                    }
                };
            }
        }
        let Some(any) = jobs.iter().flatten().min_by_key(|job| job.blocks).copied() else { return digests };
        let rows = std::array::from_fn(|lane| jobs[lane].map_or(any.at, |job| job.at));
        add_blocks(&mut state, &rows, any.blocks);
        for job in jobs.iter_mut().flatten() {
            // SAFETY: `any` has the fewest blocks of all, so this stays inside the stretch or at its end.
            job.at = unsafe { job.at.add(any.blocks * BLOCK) };
            job.blocks -= any.blocks;
        }
    }
}

/// The last bytes of a message, a 1 bit, zeros, and its length in bits; returns how many blocks that are.
fn fill_tail(tail: &mut [u8; 2 * BLOCK], message: &[u8]) -> usize {
    let rest = &message[message.len() / BLOCK * BLOCK..];
    let blocks = (rest.len() + 1 + 8).div_ceil(BLOCK);
    tail.fill(0);
    tail[..rest.len()].copy_from_slice(rest);
    tail[rest.len()] = 0x80;
    let bits = (message.len() as u64).wrapping_mul(8);
    tail[blocks * BLOCK - 8..blocks * BLOCK].copy_from_slice(&bits.to_le_bytes());
    blocks
}

fn digest_of(state: &State, lane: usize) -> Digest {
    let mut digest = [0; 16];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word[lane].to_le_bytes());
    }
    digest
}
