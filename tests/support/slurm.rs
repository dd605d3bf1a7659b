//! A Slurm of one node for a test: slurmctld and slurmd of Debian's packages (`scripts/setup.sh slurm`), with a configuration, ports and
//! state of their own. Nobody need be root, and nothing else on the machine is told of it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::need;

/// Longest that anything may take here: a requeued job waits some seconds by itself.
const LIMIT: Duration = Duration::from_secs(120);

/// Where the packages are unpacked, for tests in modules `needs_slurm`.
#[track_caller]
fn unpacked() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/slurm");
    let way_out = "`make slurm` (or `make test`) brings it; without it: make test WITHOUT=needs_slurm";
    need(folder.join("usr/sbin/slurmctld-wlm"), "needs_slurm", way_out);
    folder
}

/// A program of the packages, with what it needs to start.
fn program(name: &str) -> Command {
    let unpacked = unpacked();
    let mut command = Command::new(unpacked.join("usr").join(name));
    let libraries =
        fs::read_dir(unpacked.join("usr/lib")).expect("readable").flatten().map(|entry| entry.path());
    let folders = libraries.flat_map(|folder| [folder.join("slurm-wlm"), folder]);
    command.env("LD_LIBRARY_PATH", std::env::join_paths(folders).expect("folders"));
    command
}

/// What ShellCheck has to say of a script; that `$HOME` is not meant where it is part of a name is known (SC2016).
#[track_caller]
pub fn shellcheck(script: &Path) -> String {
    let done = program("bin/shellcheck")
        .args(["--exclude", "SC2016"])
        .arg(script)
        .output()
        .expect("shellcheck runs");
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

/// Waits for what is to come.
#[track_caller]
pub fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < LIMIT, "within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// Running until dropped.
pub struct Cluster {
    folder: TempDir,
    daemons: Vec<Child>,
}

impl Cluster {
    /// A node of four CPUs that takes job arrays of up to eight tasks.
    #[track_caller]
    pub fn start() -> Cluster {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["state", "spool", "cgroup"] {
            fs::create_dir(at(name)).expect("a folder");
        }
        let user = said("id", &["-un"]);
        let host = said("hostname", &["-s"]);
        let [controller, node] = free_ports();
        let plugins = program("bin/sinfo");
        let plugins =
            plugins.get_envs().find_map(|(name, value)| (name == "LD_LIBRARY_PATH").then_some(value?));
        let plugins = std::env::split_paths(plugins.expect("set"))
            .find(|folder| folder.join("auth_none.so").exists())
            .expect("plugins of Slurm");
        let configuration = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
             SlurmUser={user}\nSlurmdUser={user}\nAuthType=auth/none\nCredType=cred/none\n\
             PluginDir={plugins}\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\n\
             MpiDefault=none\nJobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n\
             StateSaveLocation={state}\nSlurmdSpoolDir={spool}\nSlurmctldPidFile={run}/slurmctld.pid\n\
             SlurmdPidFile={run}/slurmd.pid\nReturnToService=2\nPropagateResourceLimits=NONE\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nSchedulerType=sched/builtin\n\
             SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0\n\
             SlurmdParameters=config_overrides\n\
             # How long a job that is killed has, and how long one that is requeued waits.\n\
             KillWait=2\nAuthInfo=cred_expire=5\n\
             MaxArraySize=9\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN\n\
             PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n",
            plugins = plugins.display(),
            state = at("state"),
            spool = at("spool"),
            run = folder.path().display(),
        );
        fs::write(at("slurm.conf"), configuration).expect("written");
        // No cgroups are made: this is the plugin that asks for none when it starts.
        let cgroup = format!("CgroupPlugin=cgroup/v1\nCgroupMountpoint={}\n", at("cgroup"));
        fs::write(at("cgroup.conf"), cgroup).expect("written");

        let mut cluster = Cluster { folder, daemons: Vec::new() };
        let stepd = unpacked().join("usr/sbin/slurmstepd-wlm").display().to_string();
        for (name, options) in
            [("slurmctld", vec!["-D", "-c"]), ("slurmd", vec!["-D", "-c", "-d", stepd.as_str()])]
        {
            let log = File::create(cluster.folder.path().join(format!("{name}.log"))).expect("a log");
            let mut command = cluster.command(&format!("sbin/{name}-wlm"));
            command.args(options).stdout(log.try_clone().expect("a log")).stderr(log);
            cluster.daemons.push(command.spawn().expect("starts"));
        }
        let begun = Instant::now();
        while cluster.try_ask("sinfo", &["-h", "-o", "%T"]).as_deref() != Ok("idle\n") {
            assert!(begun.elapsed() < LIMIT, "the node does not come up:\n{}", cluster.logs());
            sleep(Duration::from_millis(50));
        }
        cluster
    }

    /// A program that finds this Slurm, and its commands.
    pub fn tell(&self, command: &mut Command) {
        for (name, value) in program("bin/sinfo").get_envs() {
            command.env(name, value.expect("set"));
        }
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf"));
        let old = std::env::var_os("PATH").unwrap_or_default();
        let folders = [unpacked().join("usr/bin")].into_iter().chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(folders).expect("a PATH"));
    }

    fn command(&self, name: &str) -> Command {
        let mut command = program(name);
        self.tell(&mut command);
        command
    }

    /// What a command of Slurm prints.
    #[track_caller]
    pub fn ask(&self, name: &str, words: &[&str]) -> String {
        self.try_ask(name, words).unwrap_or_else(|said| panic!("{name} {words:?}: {said}\n{}", self.logs()))
    }

    fn try_ask(&self, name: &str, words: &[&str]) -> Result<String, String> {
        let done = self.command(&format!("bin/{name}")).args(words).output().expect("starts");
        match done.status.success() {
            true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    /// Every job that there was, by its number (`12_3` in an array), in that order, with its state.
    #[track_caller]
    pub fn jobs(&self) -> Vec<(String, String)> {
        let listed = self.ask("squeue", &["-h", "-r", "-t", "all", "-S", "i", "-o", "%i %T"]);
        let lines = listed.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(number, state)| (number.to_owned(), state.to_owned())).collect()
    }

    /// Waits until no job waits or runs, and gives the states of all.
    #[track_caller]
    pub fn wait_for_the_end(&self) -> Vec<(String, String)> {
        let is_under_way = || !self.ask("squeue", &["-h"]).is_empty();
        let begun = Instant::now();
        while is_under_way() {
            assert!(begun.elapsed() < LIMIT, "{:?}\n{}", self.jobs(), self.logs());
            sleep(Duration::from_millis(50));
        }
        self.jobs()
    }

    fn logs(&self) -> String {
        let log = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("slurmctld:\n{}\nslurmd:\n{}", log("slurmctld.log"), log("slurmd.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Jobs of a test that failed do not outlive it.
        let _ = self.try_ask("scancel", &["--state=PENDING"]);
        let _ = self.try_ask("scancel", &["--state=RUNNING"]);
        let begun = Instant::now();
        while self.try_ask("squeue", &["-h"]).is_ok_and(|left| !left.is_empty())
            && begun.elapsed() < LIMIT / 8
        {
            sleep(Duration::from_millis(50));
        }
        for daemon in self.daemons.iter_mut().rev() {
            // SAFETY: a signal to a child of ours.
            unsafe { libc::kill(daemon.id() as i32, libc::SIGTERM) };
            let begun = Instant::now();
            while daemon.try_wait().is_ok_and(|ended| ended.is_none()) {
                if begun.elapsed() > LIMIT / 8 {
                    let _ = daemon.kill();
                }
                sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Ports that nobody has at the moment.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

fn said(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().expect("starts");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}
