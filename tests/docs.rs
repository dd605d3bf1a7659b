//! The pages in docs/ keep their word: their commands run.

/// The shell commands of a page, in order.
fn shell_blocks(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().expect("a first part")).collect()
}

mod needs_oracle {
    use std::path::Path;
    use std::process::Command;

    use super::shell_blocks;
    use crate::support::{ask_oracle, oracle};

    #[test]
    fn the_commands_of_from_pyfai_run() {
        let blocks = shell_blocks(include_str!("../docs/from-pyfai.md"));
        assert!(blocks.len() >= 8, "{} blocks", blocks.len());
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let folder = |program: &Path| program.parent().expect("a folder").to_path_buf();
        let python = oracle();
        let programs = [folder(Path::new(env!("CARGO_BIN_EXE_xrdct"))), folder(&python)];
        let old = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&old))).expect("a PATH");
        for block in &blocks {
            let run = Command::new("sh")
                .args(["-e", "-c", block])
                .current_dir(scratch.path())
                .env("PATH", &path)
                .output()
                .expect("sh runs");
            let said = [&run.stdout[..], &run.stderr[..]].concat();
            assert!(run.status.success(), "{block}\n{}", String::from_utf8_lossy(&said));
            // What the page's worker of pyFAI says of its difference from us.
            if block.contains("worker.py") {
                let printed = String::from_utf8_lossy(&run.stdout).trim().parse::<f64>();
                assert!(printed.as_ref().is_ok_and(|off| *off < 1e-6), "{printed:?}");
            }
        }
        let at = |name: &str| scratch.path().join(name);
        let said = ask_oracle("repeats.py", &[&at("mine.h5"), &at("mine-again.h5")]);
        assert_eq!(said.trim(), "2 files repeat the run");
        for name in
            ["by-pyfai.h5", "by-diffmap.h5", "map-again.h5", "zigzag.h5", "frame_00011.dat", "mine.png"]
        {
            assert!(at(name).exists(), "{name}");
        }
    }
}
