//! Where a GPU is, on a host of several nodes: memory and cores that are nearer to it than the others.

use std::collections::BTreeSet;
use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::driver;

/// A node of memory, with those of its cores that this process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaNode {
    number: usize,
    cores: Vec<usize>,
}

impl NumaNode {
    /// The system's number of it.
    pub fn number(&self) -> usize {
        self.number
    }

    /// How many of its cores this process may use.
    pub fn cores(&self) -> usize {
        self.cores.len()
    }

    /// Keeps the calling thread on its cores from now on. Where the system refuses, the thread stays as free as it was.
    pub fn keep_thread(&self) {
        let mut cores = CpuSet::new();
        self.cores.iter().for_each(|core| cores.set(*core));
        let _ = sched_setaffinity(None, &cores);
    }

    /// The node of a device on the PCI bus; none where the system does not say, or lets this process have none of its cores.
    fn of_pci_device(bus_id: &str) -> Option<NumaNode> {
        let device = format!("/sys/bus/pci/devices/{}", name_in_sysfs(bus_id)?);
        // -1: it is at none.
        let number: usize = fs::read_to_string(format!("{device}/numa_node")).ok()?.trim().parse().ok()?;
        let listed = fs::read_to_string(format!("/sys/devices/system/node/node{number}/cpulist")).ok()?;
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = cores(&listed)?;
        cores.retain(|core| *core < CpuSet::MAX_CPU && allowed.is_set(*core));
        (!cores.is_empty()).then_some(NumaNode { number, cores })
    }
}

/// The nodes of GPUs, in their order, where they are at several; else none of each. The driver must have been started.
pub fn nodes(ordinals: &[usize]) -> Vec<Option<NumaNode>> {
    let node = |ordinal: &usize| NumaNode::of_pci_device(&driver::pci_bus_id(*ordinal).ok()?);
    let found: Option<Vec<NumaNode>> = match ordinals.len() {
        0 | 1 => None,
        _ => ordinals.iter().map(node).collect(),
    };
    match found {
        Some(nodes) if are_several(&nodes) => nodes.into_iter().map(Some).collect(),
        _ => vec![None; ordinals.len()],
    }
}

fn are_several(nodes: &[NumaNode]) -> bool {
    nodes.iter().map(NumaNode::number).collect::<BTreeSet<_>>().len() > 1
}

/// `00000000:1B:00.0`, as the driver may say, is `0000:1b:00.0` in `/sys`.
fn name_in_sysfs(bus_id: &str) -> Option<String> {
    let (domain, rest) = bus_id.split_once(':')?;
    Some(format!("{:04x}:{}", u32::from_str_radix(domain, 16).ok()?, rest.to_lowercase()))
}

/// Cores as the kernel lists them: `0-3,8`.
fn cores(listed: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for range in listed.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cores.extend(first..=last.min(first + CpuSet::MAX_CPU));
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        assert_eq!(cores("0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!((cores("\n"), cores("0-x")), (Some(vec![]), None));
        assert_eq!(name_in_sysfs("00000000:1B:00.0").as_deref(), Some("0000:1b:00.0"));
        assert_eq!(name_in_sysfs("0001:c4:00.0").as_deref(), Some("0001:c4:00.0"));
        assert_eq!(name_in_sysfs("nonsense"), None);
        assert_eq!(NumaNode::of_pci_device("ffff:ff:1f.7"), None);
    }

    #[test]
    fn gpus_of_one_node_are_left_alone() {
        let at = |number| NumaNode { number, cores: vec![0] };
        assert!(!are_several(&[at(1), at(1)]) && are_several(&[at(0), at(1), at(0)]));
        assert_eq!(nodes(&[0]), [None]);
        assert!(nodes(&[]).is_empty());
    }

    #[test]
    fn a_thread_stays_where_it_is_kept() {
        let allowed = |()| sched_getaffinity(None).unwrap();
        let before = allowed(());
        let core = (0..CpuSet::MAX_CPU).find(|core| before.is_set(*core)).unwrap();
        let kept = std::thread::spawn(move || {
            NumaNode { number: 0, cores: vec![core] }.keep_thread();
            sched_getaffinity(None).unwrap()
        });
        let kept = kept.join().unwrap();
        assert!(kept.is_set(core) && kept.count() == 1);
        assert_eq!(allowed(()).count(), before.count(), "others are as free as they were");
    }
}
