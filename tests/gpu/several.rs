//! Two real GPUs in one run: the bits of one, and one that fails is not the end. `../several.rs` has the same with fakes, in every
//! arrangement.
//!
//! The tests stand in a module of their own, so that they can be left out by name where there is one GPU: there they fail.

mod needs_two_gpus {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::{Duration, Instant};

    use xrdct::cuda::device;
    use xrdct::cuda::driver::LIMIT;
    use xrdct::output::result::{Patterns, ResultInfo};
    use xrdct::pipeline::Report;
    use xrdct::session::options::{ErrorModelName, StrategyName};
    use xrdct::session::{Options, Plan, Run, Session};
    use xrdct::trace::Timeline;

    use crate::cuda::gpu_going_over::{Mishap, Saboteur, alone};
    use crate::manners::compile;
    use crate::support::write_small_scan;

    const FRAMES: usize = 4000;
    const NPT: usize = 60;

    /// Small frames, some of which are torn.
    struct Scan(tempfile::TempDir);

    impl Scan {
        fn new() -> Scan {
            let found = device::survey().devices.map_or(0, |gpus| gpus.len());
            assert!(found >= 2, "{found} GPUs here: these tests need two; elsewhere --skip needs_two_gpus");
            let folder = tempfile::tempdir().unwrap();
            write_small_scan(folder.path(), FRAMES);
            for number in [3, 700, 3999] {
                let path = folder.path().join(format!("scan/small_{number:05}.cbf"));
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() - 4500]).unwrap();
            }
            Scan(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn session(&self, device: &str, change: impl FnOnce(&mut Options)) -> Session {
            let mut options = Options {
                inputs: vec![self.path("scan").display().to_string()],
                poni: Some(self.path("small.poni")),
                npt: Some(NPT),
                device: Some(device.into()),
                ..Options::default()
            };
            change(&mut options);
            Session::open(Plan::new(options).unwrap()).unwrap()
        }
    }

    fn run(
        session: &Session,
        path: &Path,
        timeline: Option<Timeline>,
        saboteur: Option<&mut Saboteur>,
    ) -> Report {
        let mut file = session.result(path, true).unwrap();
        let watchers = saboteur.into_iter().map(|saboteur| saboteur as _).collect();
        let run = Run { timeline, watchers, ..Run::default() };
        let (report, ended) = session.run(&mut file, run).unwrap();
        ended.unwrap();
        let written = file.finish(&report.ending()).unwrap();
        assert_eq!((written.good, written.bad, written.pending), (FRAMES - 3, 3, 0));
        assert_eq!((report.done, report.interrupted), (FRAMES, false));
        report
    }

    /// The bits of every row.
    fn rows(path: &Path) -> Vec<u32> {
        Patterns::open(path).unwrap().read(0..NPT).unwrap().iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    #[ignore = "needs two NVIDIA GPUs"]
    fn one_gpu_and_several_give_the_same_bits() {
        let scan = Scan::new();
        let changes: [fn(&mut Options); 4] = [
            |_| (),
            |options| options.strategy = Some(StrategyName::Pool),
            |options| options.error_model = Some(ErrorModelName::Poisson),
            |options| (options.no_verify, options.batch, options.lanes) = (Some(true), Some(3), Some(3)),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let path = scan.path("one.h5");
            run(&scan.session("cuda:0", change), &path, None, None);
            let expected = rows(&path);
            for device in ["cuda:1", "cuda:0,1", "cuda:1,0", "cuda:all"] {
                let (path, timeline) = (scan.path("several.h5"), Timeline::default());
                let session = scan.session(device, change);
                let report = run(&session, &path, Some(timeline.clone()), None);
                assert!(report.lost.is_empty() && report.gone_over.is_none());
                assert!(rows(&path) == expected, "{device}, change {number}: other bits than cuda:0");
                assert!(ResultInfo::open(&path).unwrap().lost_devices.is_empty());
                // Each of them did something.
                let tracks: Vec<String> = timeline.spans().into_iter().map(|span| span.track).collect();
                for gpu in ["GPU 0 lane", "GPU 1 lane"].iter().filter(|_| device != "cuda:1") {
                    assert!(tracks.iter().any(|track| track.starts_with(gpu)), "{device}: no bar of {gpu}");
                }
            }
        }
    }

    /// A run on two GPUs of which one fails.
    fn go_on(victim: usize, mishap: Mishap, why: &str) {
        let (scan, start) = (Scan::new(), Instant::now());
        // Where a child does not end this is the last that is known of it.
        let now = |doing: &str| eprintln!("{:5.1} s: {doing}", start.elapsed().as_secs_f64());
        let few = |options: &mut Options| (options.lanes, options.batch) = (Some(2), Some(4));
        let other = format!("cuda:{}", 1 - victim);
        let path = scan.path("one.h5");
        now("a run on the other GPU alone");
        run(&scan.session(&other, few), &path, None, None);
        let expected = rows(&path);

        now("opening both");
        let session = scan.session("cuda:0,1", few);
        let mut saboteur = Saboteur::new(device::open(victim).unwrap(), mishap);
        let (path, begun) = (scan.path("several.h5"), Instant::now());
        now("a run on both, in which one fails");
        let report = run(&session, &path, None, Some(&mut saboteur));
        let took = begun.elapsed();
        assert!(rows(&path) == expected, "other bits than {other}");
        let [lost] = &report.lost[..] else { panic!("one is lost: {:?}", report.lost) };
        let name = format!("cuda:{victim}");
        assert_eq!(lost.device.as_deref(), Some(name.as_str()));
        assert!(lost.why.starts_with(&format!("{name}: ")) && lost.why.contains(why), "{}", lost.why);
        assert!((1..FRAMES / 2).contains(&lost.frames), "{} frames were in flight", lost.frames);
        assert!(report.gone_over.is_none() && report.given_up.is_empty());
        assert_eq!(saboteur.news.len(), 1, "{:?}", saboteur.news);
        assert_eq!(ResultInfo::open(&path).unwrap().lost_devices.as_slice(), std::slice::from_ref(&lost.why));

        // The session goes on with the other.
        now("other doors of the same session");
        let doors = session.doors(session.plan().source(), None, None).unwrap();
        assert_eq!(doors.reducers.len(), 1);
        assert_eq!(doors.notes, [format!("{name} failed before; computing without it")]);
        now("closing them");
        drop(doors);
        now("another run of the same session");
        let path = scan.path("again.h5");
        assert!(run(&session, &path, None, None).lost.is_empty());
        assert!(rows(&path) == expected);
        now("letting the GPU go");
        saboteur.let_go();
        drop(session);
        now("the end");
        if mishap == Mishap::Hang {
            // It is waited for once.
            assert!(took >= LIMIT && took < LIMIT + Duration::from_secs(15), "{took:?}");
        }
    }

    /// A broken context takes every GPU of its process along, so the program begins again on the other.
    #[test]
    #[ignore = "needs two NVIDIA GPUs"]
    fn a_context_that_breaks_leaves_its_frames_to_the_other_gpu() {
        let scan = Scan::new();
        let folder = scan.path("");
        let library = folder.join("trap.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/trap.c");
        compile(&source, &library);
        let integrate = |device: &str, output: &str, trap: Option<usize>| {
            let mut run = Command::new(env!("CARGO_BIN_EXE_xrdct"));
            run.current_dir(&folder).args(["integrate", "scan", "-p", "small.poni", "-c", "60"]);
            run.args(["--error-model", "poisson", "--lanes", "2", "--batch", "4"]);
            run.args(["--device", device, "-o", output]);
            if let Some(gpu) = trap {
                run.env("LD_PRELOAD", &library).env("TRAP_GPU", gpu.to_string()).env("TRAP_WHEN", output);
            }
            let done = run.output().unwrap();
            (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
        };
        assert_eq!(integrate("cuda:0", "one.h5", None).0, Some(10));
        let expected = rows(&scan.path("one.h5"));
        for victim in [0, 1] {
            let output = format!("trapped_{victim}.h5");
            let (code, said) = integrate("cuda:0,1", &output, Some(victim));
            assert_eq!(code, Some(10), "{said}");
            assert!(
                said.contains("no GPU serves this process any more: going on in a new one on cuda:"),
                "{said}"
            );
            let info = ResultInfo::open(&scan.path(&output)).unwrap();
            assert_eq!(info.frames_done(), FRAMES, "{said}");
            assert!(info.lost_devices.len() == 1 && info.lost_devices[0].starts_with("cuda:"), "{said}");
            assert!(rows(&scan.path(&output)) == expected, "other bits than one GPU: {said}");
        }
    }

    #[test]
    #[ignore = "needs two NVIDIA GPUs"]
    fn a_gpu_that_hangs_leaves_its_frames_to_the_other() {
        for (part, victim) in [("first", 0), ("second", 1)] {
            alone((module_path!(), "a_gpu_that_hangs_leaves_its_frames_to_the_other"), part, || {
                go_on(victim, Mishap::Hang, "the GPU did not answer within 60 s");
            });
        }
    }
}
