//! Every message between node and shim, and the one between a shim and its new child.

use super::wire::{Decode, Encode, Malformed, Reader, choices, messages};

/// Bits of `streams`: which of standard input, output and error are meant.
pub const STDIN: u8 = 1;
/// Standard output.
pub const STDOUT: u8 = 2;
/// Standard error.
pub const STDERR: u8 = 4;

/// Process namespace: the container's own.
pub const PID_OWN: u8 = 0;
/// Process namespace: shared by the pod's containers.
pub const PID_POD: u8 = 1;
/// Process namespace: the node's.
pub const PID_HOST: u8 = 2;
/// Process namespace: that of the container named in `pid_target`.
pub const PID_TARGET: u8 = 3;

/// Mounts stay where they are made.
pub const PROPAGATION_PRIVATE: u8 = 0;
/// Mounts of the host appear in the container.
pub const PROPAGATION_FROM_HOST: u8 = 1;
/// Mounts appear on both sides.
pub const PROPAGATION_BOTH: u8 = 2;

/// The container's process has not begun yet.
pub const PHASE_STARTING: u8 = 0;
/// The container runs.
pub const PHASE_RUNNING: u8 = 1;
/// The container's first process has ended.
pub const PHASE_EXITED: u8 = 2;

messages! {
    /// What a shim is told on its standard input before it becomes a daemon.
    struct PodSpec {
        /// The sandbox's id, for `ps`.
        id: String,
        /// Directory of the socket, `shim.sock`.
        directory: String,
        /// The pod's name of the host; empty when the pod has the node's UTS namespace.
        hostname: String,
        /// Whether the pod has a network namespace of its own.
        own_network: bool,
        /// Whether the pod has an IPC namespace (and `/dev/shm`) of its own.
        own_ipc: bool,
        /// Whether the pod's containers share one process namespace.
        shared_pid: bool,
        /// Kernel parameters of the pod's namespaces, by their path below `/proc/sys`.
        sysctls: Vec<(String, String)>,
        /// The shim's own cgroup.
        cgroup: CgroupSpec,
        /// The shim's own score for the kernel's choice of whom to kill for memory.
        oom_score_adj: i32,
        /// Size of the pod's `/dev/shm`.
        shm_bytes: u64,
        /// What each container may write to its log in a second; 0 for no limit.
        log_bytes_per_second: u64,
    }

    /// Where a process belongs before it runs anything.
    struct CgroupSpec {
        /// The v1 `tasks` files to write `0` to.
        join: Vec<String>,
        /// The directory in the v2 tree; empty when none is mounted.
        unified: String,
    }

    /// A container, from its layers to its first process.
    struct ContainerSpec {
        id: String,
        /// One of the `PID_` constants.
        pid_mode: u8,
        /// With `PID_TARGET`: a container of this pod.
        pid_target: String,
        cgroup: CgroupSpec,
        /// Name and directory of each v1 hierarchy, shown at `/sys/fs/cgroup`; empty on v2.
        cgroup_views: Vec<(String, String)>,
        /// File whose `oom_kill` line tells whether memory ran out; empty when there is none.
        oom_file: String,
        /// File that lists the processes to kill with the first one; empty when their namespace ends with it.
        kill_list: String,
        rootfs: RootfsSpec,
        /// Bound files and directories, parents before children.
        mounts: Vec<MountSpec>,
        masked_paths: Vec<String>,
        readonly_paths: Vec<String>,
        devices: Vec<DeviceSpec>,
        /// Whether `/sys` and its cgroups are writable.
        writable_sys: bool,
        process: ProcessSpec,
        /// CRI log file; empty to keep no log.
        log_path: String,
        /// Whether standard input stays open for those who attach.
        stdin: bool,
    }

    /// The container's root: layers under one writable directory.
    struct RootfsSpec {
        /// Read-only directories, the topmost first.
        lower: Vec<String>,
        /// Where changes go.
        upper: String,
        /// Overlayfs's own directory, beside `upper`.
        work: String,
        /// The empty directory to mount it on, in the container's mount namespace alone.
        target: String,
        readonly: bool,
    }

    /// One bind mount.
    struct MountSpec {
        source: String,
        target: String,
        readonly: bool,
        /// Whether what is mounted below it is read-only too.
        readonly_recursive: bool,
        /// One of the `PROPAGATION_` constants.
        propagation: u8,
    }

    /// A device node.
    struct DeviceSpec {
        path: String,
        /// `libc::S_IFCHR` or `S_IFBLK` with the permission bits.
        mode: u32,
        major: u32,
        minor: u32,
        uid: u32,
        gid: u32,
    }

    /// A process: what it runs, as whom, and what it may not do.
    struct ProcessSpec {
        args: Vec<String>,
        env: Vec<String>,
        cwd: String,
        terminal: bool,
        /// `user[:group]`, by number or by name as the container's `/etc/passwd` and `/etc/group` have it.
        user: String,
        /// Further groups.
        groups: Vec<u32>,
        /// Whether the groups of the container's `/etc/group` are added to them.
        image_groups: bool,
        capabilities: CapabilitySpec,
        no_new_privileges: bool,
        /// Filter programs (`struct sock_filter` arrays), all of which must allow a call.
        seccomp: Vec<Vec<u8>>,
        oom_score_adj: Option<i32>,
    }

    /// Capability sets as masks.
    struct CapabilitySpec {
        bounding: u64,
        effective: u64,
        permitted: u64,
        inheritable: u64,
        ambient: u64,
    }

    /// What became of a container.
    struct ContainerState {
        id: String,
        /// One of the `PHASE_` constants.
        phase: u8,
        /// Its first process, in the shim's process namespace; 0 before there is one.
        pid: i32,
        /// Nanoseconds since 1970.
        started_ns: i64,
        /// Nanoseconds since 1970; 0 while it runs.
        finished_ns: i64,
        /// 128 and the signal's number when a signal ended it.
        exit_code: i32,
        /// Whether memory ran out in it.
        oom_killed: bool,
        /// Whom it runs as.
        identity: Identity,
        /// Lines that could not be written to the log.
        log_lines_lost: u64,
    }

    /// A process's user and groups as the kernel has them.
    struct Identity {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    }
}

choices! {
    /// From the node.
    enum Request {
        /// First on every connection; answered by `Hello`.
        1 => Hello { version: u32, },
        /// Everything the shim knows, with the network namespace; answered by `State`. With `subscribe`, each later
        /// change follows on this connection as an [`Event`], none missed between.
        2 => State { subscribe: bool, },
        /// Makes and starts a container; answered by `Started` once its first process runs.
        3 => Start { container: Box<ContainerSpec>, },
        /// Signals a container's first process; answered by `Done`.
        4 => Signal { container: String, signal: i32, },
        /// Runs a process in a running container with the streams that come along, in the order of their bits;
        /// answered by `ExecStarted`, with the terminal's master side when it has one. Its end follows as an event.
        5 => Exec { container: String, process: Box<ProcessSpec>, streams: u8, },
        /// Signals an exec's process; answered by `Done`.
        6 => SignalExec { exec: u32, signal: i32, },
        /// Copies a container's output from now on to the descriptors that come along; answered by `Attached`, with
        /// what writes to its standard input: a terminal's master side or a pipe.
        7 => Attach { container: String, streams: u8, },
        /// Closes a container's standard input; answered by `Done`.
        8 => CloseStdin { container: String, },
        /// Opens a container's log anew; answered by `Done`.
        9 => ReopenLog { container: String, },
        /// Drops the record of a container that has exited; answered by `Done`, also when there is none.
        10 => Forget { container: String, },
        /// Kills every process and exits once they are reaped; the connection closes then.
        11 => Shutdown { },
    }

    /// To the node, in answer.
    enum Reply {
        1 => Hello { version: u32, pid: i32, },
        /// With the network namespace's descriptor, whosever it is.
        2 => State { containers: Vec<ContainerState>, },
        3 => Started { state: ContainerState, },
        4 => Done { },
        /// `terminal` tells whether its master side comes along.
        5 => ExecStarted { exec: u32, pid: i32, terminal: bool, },
        /// `has_stdin` tells whether a descriptor comes along.
        6 => Attached { terminal: bool, has_stdin: bool, },
        /// One of the `ERROR_` constants, and what failed.
        7 => Error { kind: u8, message: String, },
    }

    /// To the node, unasked (frame id 0). An event that a node does not know is passed over.
    enum Event {
        1 => Exited { state: ContainerState, },
        /// Also told to those who did not ask for the start: whoever asked may be gone.
        3 => Started { state: ContainerState, },
        2 => ExecExited { exec: u32, exit_code: i32, },
    }

    /// From a new process to its shim, before it becomes what it was made for. Comes with a terminal's master side.
    enum ChildMessage {
        1 => Ready { identity: Identity, },
        2 => Failed { message: String, },
    }
}

/// Something failed for want of the machine.
pub const ERROR_FAILED: u8 = 1;
/// There is no such container or exec.
pub const ERROR_NOT_FOUND: u8 = 2;
/// The container is not in the state for it.
pub const ERROR_STATE: u8 = 3;
/// The shim keeps no more of these.
pub const ERROR_LIMIT: u8 = 4;
