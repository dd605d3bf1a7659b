//! What stands today and should not: each guard has a list, and the list can only shrink. What is not on it is an offence, and
//! so is what is on it and no longer needed.

use std::collections::{BTreeMap, BTreeSet};

/// What is wrong: offences that are not listed, with what is to be said about them, and listed ones that are none any more.
pub fn beyond(found: &BTreeMap<String, String>, listed: impl IntoIterator<Item = String>) -> Vec<String> {
    let listed: BTreeSet<String> = listed.into_iter().collect();
    let unlisted = found.iter().filter(|(key, _)| !listed.contains(*key)).map(|(_, said)| said.clone());
    let unneeded = listed.iter().filter(|key| !found.contains_key(*key));
    unlisted.chain(unneeded.map(|key| format!("{key}: no longer so, take it off the list"))).collect()
}

#[test]
fn a_list_can_only_shrink() {
    let found = BTreeMap::from([("a", "a is wrong"), ("b", "b is wrong")]);
    let found = found.into_iter().map(|(key, said)| (key.into(), said.into())).collect();
    let listed = |keys: &[&str]| keys.iter().map(|key| key.to_string()).collect::<Vec<_>>();
    assert!(beyond(&found, listed(&["a", "b"])).is_empty());
    assert_eq!(beyond(&found, listed(&["a"])), ["b is wrong"]);
    assert_eq!(beyond(&found, listed(&["a", "b", "c"])), ["c: no longer so, take it off the list"]);
}
