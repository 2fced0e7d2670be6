//! What a pod's containers share: namespaces, shared memory, a first process.

use std::os::fd::{AsFd, OwnedFd};

use shim::protocol::PodSpec;

use crate::sys;

/// The name of the socket in the pod's directory.
const SOCKET: &str = "shim.sock";

/// Namespaces and listener of this pod. The network, IPC and UTS namespaces are the shim's own.
pub(crate) struct Pod {
    pub(crate) listener: OwnedFd,
    /// Readable when a child has ended.
    pub(crate) children: OwnedFd,
    pub(crate) network: OwnedFd,
    /// The shim's own process namespace, to return to.
    pub(crate) processes: OwnedFd,
    /// The mount namespace whose root is the pod's shared memory; `None` when that is the host's.
    pub(crate) shm: Option<OwnedFd>,
    /// The first process of the pod's shared process namespace, and that namespace.
    pub(crate) inert: Option<(i32, OwnedFd)>,
    /// As `PodSpec::log_bytes_per_second`.
    pub(crate) log_rate: u64,
}

fn named<T>(what: &str, result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

impl Pod {
    /// Sets everything up in the calling process, the daemon to be.
    pub(crate) fn set_up(spec: &PodSpec) -> Result<Pod, String> {
        named("begin a session", sys::new_session())?;
        named("name the process", sys::set_name(c"sampan-shim"))?;
        named("adopt orphans", sys::adopt_orphans())?;
        named("hide memory", sys::hide_memory())?;
        sys::ignore_signals();
        for file in &spec.cgroup.join {
            named(file, std::fs::write(file, "0"))?;
        }
        crate::child::set_oom_score(spec.oom_score_adj).map_err(|failure| failure.to_string())?;
        sys::set_umask(0o077);
        named(&spec.directory, sys::change_directory(&spec.directory))?;
        named("watch children", sys::watch_children()).and_then(|children| Pod::with_namespaces(spec, children))
    }

    fn with_namespaces(spec: &PodSpec, children: OwnedFd) -> Result<Pod, String> {
        let open = |path: &str| named(path, sys::open(path, libc::O_RDONLY));
        let processes = open("/proc/self/ns/pid")?;
        let own_uts = !spec.hostname.is_empty();
        let flags =
            [(spec.own_network, libc::CLONE_NEWNET), (spec.own_ipc, libc::CLONE_NEWIPC), (own_uts, libc::CLONE_NEWUTS)];
        let flags = flags.iter().filter(|(own, _)| *own).fold(0, |all, (_, flag)| all | flag);
        named("unshare the pod's namespaces", sys::unshare(flags))?;
        if own_uts {
            named("set the host name", sys::set_host_name(&spec.hostname))?;
        }
        if spec.own_network {
            named("bring loopback up", sys::loopback_up())?;
        }
        for (name, value) in &spec.sysctls {
            named(&format!("write the sysctl {name}"), std::fs::write(format!("/proc/sys/{name}"), value))?;
        }
        // First of all that the shim ever forks: it can inherit no container's secrets.
        let inert = match spec.shared_pid {
            true => Some(named("start the pod's first process", start_inert(&spec.directory))?),
            false => None,
        };
        let listener = named("listen", sys::listen(SOCKET))?;
        // The socket is root's alone; logs are not.
        sys::set_umask(0o022);
        let shm = if spec.own_ipc {
            Some(named("make the shared memory", make_shm(&spec.directory, spec.shm_bytes))?)
        } else {
            None
        };
        let log_rate = spec.log_bytes_per_second;
        Ok(Pod { listener, children, network: open("/proc/self/ns/net")?, processes, shm, inert, log_rate })
    }
}

/// Makes a mount namespace with nothing but a tmpfs in it, and comes back.
///
/// So `/dev/shm` is shared by the pod's containers, and the host's mount table does not know it.
fn make_shm(place: &str, bytes: u64) -> std::io::Result<OwnedFd> {
    let host = sys::open("/proc/self/ns/mnt", libc::O_RDONLY)?;
    sys::unshare(libc::CLONE_NEWNS)?;
    let own = sys::open("/proc/self/ns/mnt", libc::O_RDONLY)?;
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;
    be_rooted_in(place, "shm", flags, &format!("mode=1777,size={bytes}"))?;
    sys::enter(host.as_fd(), libc::CLONE_NEWNS)?;
    Ok(own)
}

/// Makes a new tmpfs all that this mount namespace has. The kernel wants a place to mount it on first: `place`.
fn be_rooted_in(place: &str, name: &str, flags: libc::c_ulong, options: &str) -> std::io::Result<()> {
    sys::make_all_slave()?;
    sys::mount(name, place, "tmpfs", flags, options)?;
    let root = sys::open(place, libc::O_PATH | libc::O_DIRECTORY)?;
    sys::pivot(root.as_fd())
}

/// Starts the first process of a shared process namespace, and waits until it is inert.
fn start_inert(place: &str) -> std::io::Result<(i32, OwnedFd)> {
    let (done, doing) = sys::pipe()?;
    match sys::clone(libc::CLONE_NEWPID | libc::CLONE_NEWNS, None)? {
        sys::Side::Parent(pid) => {
            drop(doing);
            // The end of the pipe: it has closed everything. When it failed instead, its exit is noticed like any.
            sys::read(done.as_fd(), &mut [0])?;
            Ok((pid, sys::open(&format!("/proc/{pid}/ns/pid"), libc::O_RDONLY)?))
        }
        sys::Side::Child => match become_inert(place) {
            Ok(()) => loop {
                sys::pause();
            },
            Err(_) => sys::exit(1),
        },
    }
}

/// Containers of the pod see this process and, as root, may look into it: so it has an empty root directory, nobody's
/// identity, no capability and no descriptor. The kernel reaps orphans for it.
fn become_inert(place: &str) -> std::io::Result<()> {
    const NOBODY: u32 = 65_534;
    sys::set_name(c"pause")?;
    be_rooted_in(place, "empty", libc::MS_RDONLY, "size=0k,nr_inodes=1")?;
    sys::set_identity(NOBODY, NOBODY, &[])?;
    sys::set_capabilities(0, 0, 0)?;
    sys::reset_signals()?;
    sys::ignore_children()?;
    sys::close_from(0)
}
