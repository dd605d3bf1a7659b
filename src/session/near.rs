//! Readers near the GPUs that they feed, on a host where these are at several nodes.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::sync::Arc;

use crate::cuda::CudaEngine;
use crate::cuda::numa::{self, NumaNode};
use crate::frame::{BadFrame, Frame, Slots, prefer_slots_at};
use crate::source::{Reader, Ticket};

/// Keeps its thread at a node, and takes slots there.
struct ReaderAtNode {
    inner: Box<dyn Reader>,
    /// Until its thread is there.
    node: Option<NumaNode>,
}

impl Reader for ReaderAtNode {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        if let Some(node) = self.node.take() {
            node.keep_thread();
            prefer_slots_at(node.number());
        }
        self.inner.read(ticket, slots, out);
    }
}

/// Readers at the nodes of GPUs, where these are at several, as many at each as it has of the cores; else as they are.
pub(super) fn at_nodes(readers: Vec<Box<dyn Reader>>, engines: &[&Arc<CudaEngine>]) -> Vec<Box<dyn Reader>> {
    let ordinals: Vec<usize> = engines.iter().map(|engine| engine.context().ordinal()).collect();
    let nodes = numa::nodes(&ordinals).into_iter().flatten();
    let nodes: BTreeMap<usize, NumaNode> = nodes.map(|node| (node.number(), node)).collect();
    let core_at: Vec<&NumaNode> = nodes.values().flat_map(|node| repeat_n(node, node.cores())).collect();
    if core_at.is_empty() {
        return readers;
    }
    let count = readers.len();
    let at = |(number, inner): (usize, _)| {
        let node = core_at[number * core_at.len() / count].clone();
        Box::new(ReaderAtNode { inner, node: Some(node) }) as _
    };
    readers.into_iter().enumerate().map(at).collect()
}

#[cfg(test)]
mod tests {
    use crate::frame::{SlotMemory, SlotPool};

    use super::*;

    /// Memory at a node.
    struct At(usize, Vec<u8>);

    impl SlotMemory for At {
        fn bytes(&self) -> &[u8] {
            &self.1
        }
        fn bytes_mut(&mut self) -> &mut [u8] {
            &mut self.1
        }
        fn grow(&mut self, len: usize) -> std::io::Result<()> {
            self.1.grow(len)
        }
        fn node(&self) -> Option<usize> {
            Some(self.0)
        }
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    #[test]
    fn a_thread_takes_slots_at_its_node_first() {
        let nodes = [0, 1, 2, 1, 0];
        let taken = |near: Option<usize>| {
            let pool = SlotPool::new(nodes.map(|node| Box::new(At(node, vec![])) as Box<dyn SlotMemory>));
            let takes = move || {
                near.into_iter().for_each(prefer_slots_at);
                let slots: Vec<_> = nodes.iter().map(|_| pool.take()).collect();
                slots.iter().filter_map(|slot| slot.memory().node()).collect::<Vec<_>>()
            };
            std::thread::spawn(takes).join().expect("nobody panicked")
        };
        assert_eq!(taken(None), [0, 1, 2, 1, 0]);
        assert_eq!(taken(Some(1)), [1, 1, 0, 2, 0]);
        assert_eq!(taken(Some(7)), [0, 1, 2, 1, 0], "where there is none, any");
    }
}
