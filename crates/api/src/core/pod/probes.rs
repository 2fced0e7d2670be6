//! Whether probes and lifecycle hooks make sense.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Linux's signals with names of their own.
const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMIN",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];
/// The signals without names are counted from either end: `SIGRTMIN+15`, `SIGRTMAX-14`.
const REAL_TIME_UP_MAX: u8 = 15;
const REAL_TIME_DOWN_MAX: u8 = 14;

/// What a probe or a hook does; each has exactly one.
enum Action<'a> {
    Exec(&'a ExecAction),
    HttpGet(&'a HTTPGetAction),
    TcpSocket(&'a TCPSocketAction),
    Grpc(&'a GRPCAction),
    Sleep(&'a SleepAction),
}

impl Action<'_> {
    fn field(&self) -> &'static str {
        match self {
            Action::Exec(_) => "exec",
            Action::HttpGet(_) => "httpGet",
            Action::TcpSocket(_) => "tcpSocket",
            Action::Grpc(_) => "grpc",
            Action::Sleep(_) => "sleep",
        }
    }
}

/// The hooks and probes of a container that may have them.
pub(super) fn of_container(
    errors: &mut Errors,
    path: &FieldPath,
    container: &Container,
    grace_seconds: Option<i64>,
    system: &str,
) {
    if let Some(lifecycle) = &container.lifecycle {
        let path = path.child("lifecycle");
        for (name, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            if let Some(hook) = hook {
                actions(errors, &path.child(name), &of_hook(hook), grace_seconds);
            }
        }
        if let Some(signal) = &lifecycle.stop_signal {
            stop_signal(errors, &path.child("stopSignal"), signal, system);
        }
    }
    if let Some(probe) = &container.liveness_probe {
        let path = path.child("livenessProbe");
        common(errors, &path, probe);
        one_success(errors, &path, probe);
    }
    if let Some(probe) = &container.readiness_probe {
        let path = path.child("readinessProbe");
        common(errors, &path, probe);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let detail = "must not be set for readinessProbes";
            errors.push(FieldError::invalid(path.child("terminationGracePeriodSeconds"), &seconds, detail));
        }
    }
    if let Some(probe) = &container.startup_probe {
        let path = path.child("startupProbe");
        common(errors, &path, probe);
        one_success(errors, &path, probe);
    }
}

/// Signals are the operating system's, so that a pod has to say which it is for.
fn stop_signal(errors: &mut Errors, path: &FieldPath, signal: &str, system: &str) {
    let known: &[&str] = match system {
        "linux" => SIGNALS,
        "windows" => &["SIGKILL", "SIGTERM"],
        "" => {
            let detail = "may not be set for containers with empty `spec.os.name`";
            errors.push(FieldError::forbidden(path.clone(), detail));
            return;
        }
        _ => return,
    };
    let offset = |name: &str, sign: char| {
        let number = signal.strip_prefix(name)?.strip_prefix(sign)?;
        (!number.starts_with('0')).then(|| number.parse::<u8>().ok()).flatten()
    };
    let real_time = offset("SIGRTMIN", '+').is_some_and(|number| number <= REAL_TIME_UP_MAX)
        || offset("SIGRTMAX", '-').is_some_and(|number| number <= REAL_TIME_DOWN_MAX);
    if !(system == "linux" && real_time) {
        check::supported_if_set(errors, path, Some(signal), known);
    }
}

fn of_hook(hook: &LifecycleHandler) -> Vec<Action<'_>> {
    let exec = hook.exec.as_ref().map(Action::Exec);
    let http_get = hook.http_get.as_ref().map(Action::HttpGet);
    let tcp_socket = hook.tcp_socket.as_ref().map(Action::TcpSocket);
    let sleep = hook.sleep.as_ref().map(Action::Sleep);
    [exec, http_get, tcp_socket, sleep].into_iter().flatten().collect()
}

fn of_probe(probe: &Probe) -> Vec<Action<'_>> {
    let exec = probe.exec.as_ref().map(Action::Exec);
    let http_get = probe.http_get.as_ref().map(Action::HttpGet);
    let tcp_socket = probe.tcp_socket.as_ref().map(Action::TcpSocket);
    let grpc = probe.grpc.as_ref().map(Action::Grpc);
    [exec, http_get, tcp_socket, grpc].into_iter().flatten().collect()
}

fn one_success(errors: &mut Errors, path: &FieldPath, probe: &Probe) {
    if probe.success_threshold != Some(1) {
        let threshold = probe.success_threshold.unwrap_or_default();
        errors.push(FieldError::invalid(path.child("successThreshold"), &threshold, "must be 1"));
    }
}

fn common(errors: &mut Errors, path: &FieldPath, probe: &Probe) {
    actions(errors, path, &of_probe(probe), None);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        check::non_negative(errors, path.child(field), value);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        let path = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(path, &seconds, "must be greater than 0"));
    }
}

fn actions(errors: &mut Errors, path: &FieldPath, actions: &[Action<'_>], grace_seconds: Option<i64>) {
    let Some((first, others)) = actions.split_first() else {
        errors.push(FieldError::required(path.clone(), "must specify a handler type"));
        return;
    };
    let at = path.child(first.field());
    match first {
        Action::Exec(exec) => {
            if exec.command.as_ref().is_none_or(Vec::is_empty) {
                errors.push(FieldError::required(at.child("command"), ""));
            }
        }
        Action::HttpGet(action) => http_get(errors, &at, action),
        Action::TcpSocket(action) => check::port_or_name(errors, &at.child("port"), &action.port),
        Action::Grpc(action) => check::port_or_name(errors, &at.child("port"), &IntOrString::Int(action.port)),
        Action::Sleep(action) => sleep(errors, &at, action, grace_seconds),
    }
    for other in others {
        errors.push(FieldError::forbidden(path.child(other.field()), "may not specify more than 1 handler type"));
    }
}

fn sleep(errors: &mut Errors, path: &FieldPath, action: &SleepAction, grace_seconds: Option<i64>) {
    if let Some(grace) = grace_seconds.filter(|grace| !(0..=*grace).contains(&action.seconds)) {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(path.clone(), &action.seconds, detail));
    }
}

fn http_get(errors: &mut Errors, path: &FieldPath, action: &HTTPGetAction) {
    check::present(errors, path.child("path"), action.path.as_deref());
    check::port_or_name(errors, &path.child("port"), &action.port);
    check::supported_if_set(errors, &path.child("scheme"), action.scheme.as_deref(), &["HTTP", "HTTPS"]);
    for header in action.http_headers.iter().flatten() {
        check::each(errors, &path.child("httpHeaders"), &header.name, labels::header_name(&header.name));
    }
}
