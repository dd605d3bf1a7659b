//! A run on a GPU says who decodes, and names the GPU.

use crate::support::{one_line, write_small_scan, xrdct};

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_summary_says_who_decodes_and_names_the_gpu() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 3);
    let run = |command: &str| {
        let done = xrdct(folder.path(), &command.split_whitespace().collect::<Vec<_>>());
        assert_eq!(done.code, 0, "{command}: {}", done.stderr);
        done.stdout
    };
    run("convert scan -o gzip.h5 --gzip=1");
    for (input, who) in [
        ("scan", "decoded (byte-offset) and integrated on NVIDIA"),
        ("scan --strategy pool", "decoded by the readers (byte-offset), integrated on NVIDIA"),
        ("gzip.h5", "decoded by the readers (shuffle, gzip), integrated on NVIDIA"),
    ] {
        let said =
            run(&format!("integrate --poni small.poni --npt 50 --device cuda:0 -o r.h5 --overwrite {input}"));
        let route = one_line(&said, "route");
        assert!(route.contains(who) && route.ends_with(" (cuda:0)"), "{route}");
        assert!(run("info r.h5").contains(route.trim_start_matches("route").trim()));
    }
}
