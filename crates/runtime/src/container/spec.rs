//! A container in the shim's terms.

use std::path::PathBuf;

use ::shim::protocol::{self as wire, CapabilitySpec, ContainerSpec, ProcessSpec, RootfsSpec};
use cri::v1::NamespaceMode;
use kernel::cgroup::{Cgroup, DeviceRule};
use tonic::Status;

use super::create::read_only_root;
use super::{devices, internal, mounts};
use crate::embedded::Parts;
use crate::record::{ContainerRecord, Plan};
use crate::sandbox::cgroup_spec;

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

impl Parts {
    /// Everything the shim needs to make a container, and the devices to allow in its group.
    pub(super) fn container_spec(
        &self,
        record: &ContainerRecord,
        group: &Cgroup,
    ) -> Result<(ContainerSpec, Vec<DeviceRule>), Status> {
        let config = &record.config.0;
        let directory = self.container_directory(&record.id);
        let readonly = read_only_root(config);
        let (nodes, rules) = devices::devices(config, record.plan.privileged)?;
        let (pid_mode, pid_target) = process_namespace(record);
        let own = pid_mode == wire::PID_OWN;
        let spec = ContainerSpec {
            id: record.id.clone(),
            pid_mode,
            pid_target,
            cgroup: cgroup_spec(group),
            cgroup_views: group.views().into_iter().map(|(name, directory)| (name, text(directory))).collect(),
            oom_file: group.oom_file().map(text).unwrap_or_default(),
            kill_list: group.processes_file().filter(|_| !own).map(text).unwrap_or_default(),
            rootfs: RootfsSpec {
                lower: record.layers.iter().cloned().map(text).collect(),
                upper: text(directory.join("upper")),
                work: text(directory.join("work")),
                target: text(directory.join("rootfs")),
                readonly,
            },
            mounts: mounts::mounts(config, &self.sandbox_directory(&record.sandbox), readonly)?,
            masked_paths: record.plan.masked_paths.clone(),
            readonly_paths: record.plan.readonly_paths.clone(),
            devices: nodes,
            writable_sys: record.plan.privileged,
            process: process(&record.plan, self.programs(&record.plan)?, config.tty, oom_score(record)),
            log_path: record.log_path.clone(),
            stdin: config.stdin,
        };
        Ok((spec, rules))
    }

    /// The filter programs of a plan.
    pub(super) fn programs(&self, plan: &Plan) -> Result<Vec<Vec<u8>>, Status> {
        let programs = self.filters.programs(&plan.seccomp, plan.capabilities);
        Ok(programs.map_err(|error| internal("make the seccomp filter", error))?.to_vec())
    }
}

/// The score of every process of a container.
pub(super) fn oom_score(record: &ContainerRecord) -> Option<i32> {
    i32::try_from(record.resources.0.oom_score_adj).ok()
}

/// A plan's process; an exec's differs in its arguments and terminal.
pub(super) fn process(plan: &Plan, seccomp: Vec<Vec<u8>>, terminal: bool, oom_score_adj: Option<i32>) -> ProcessSpec {
    ProcessSpec {
        args: plan.args.clone(),
        env: plan.env.clone(),
        cwd: plan.cwd.clone(),
        terminal,
        user: plan.user.clone(),
        groups: plan.groups.clone(),
        image_groups: plan.image_groups,
        capabilities: CapabilitySpec {
            bounding: plan.capabilities,
            effective: plan.capabilities,
            permitted: plan.capabilities,
            inheritable: plan.ambient,
            ambient: plan.ambient,
        },
        no_new_privileges: plan.no_new_privileges,
        seccomp,
        oom_score_adj,
    }
}

fn process_namespace(record: &ContainerRecord) -> (u8, String) {
    let context = record.config.0.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let options = context.and_then(|context| context.namespace_options.clone()).unwrap_or_default();
    match options.pid() {
        NamespaceMode::Pod => (wire::PID_POD, String::new()),
        NamespaceMode::Container => (wire::PID_OWN, String::new()),
        NamespaceMode::Node => (wire::PID_HOST, String::new()),
        NamespaceMode::Target => (wire::PID_TARGET, options.target_id),
    }
}
