//! What a container runs: the image's wishes under the pod's.

use cri::v1;
use oci_spec::image::ImageConfiguration;
use tonic::Status;

use super::privileges;
use crate::record::Plan;

/// What is searched when neither image nor pod says; a shell's default, and other runtimes'.
const PATH_DEFAULT: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Decides everything about a container's process.
pub(super) fn plan(
    config: &v1::ContainerConfig,
    image: &ImageConfiguration,
    host_name: &str,
    bounding: u64,
) -> Result<Plan, Status> {
    let context = config.linux.as_ref().and_then(|linux| linux.security_context.clone()).unwrap_or_default();
    let defaults = image.config().clone().unwrap_or_default();
    let mut plan = Plan {
        args: arguments(config, defaults.entrypoint().as_deref(), defaults.cmd().as_deref())?,
        env: environment(config, defaults.env().as_deref().unwrap_or_default(), host_name),
        cwd: directory(config, defaults.working_dir().as_deref()),
        user: user(&context, defaults.user().as_deref())?,
        stop_signal: stop_signal(defaults.stop_signal().as_deref())?,
        ..Plan::default()
    };
    privileges::fill(&mut plan, &context, bounding)?;
    Ok(plan)
}

/// A command replaces the image's entry point and its arguments; arguments alone replace those.
fn arguments(
    config: &v1::ContainerConfig,
    entry_point: Option<&[String]>,
    command: Option<&[String]>,
) -> Result<Vec<String>, Status> {
    let mut args = config.command.clone();
    let mut rest = config.args.clone();
    if args.is_empty() {
        args = entry_point.unwrap_or_default().to_vec();
        if rest.is_empty() {
            rest = command.unwrap_or_default().to_vec();
        }
    }
    args.extend(rest);
    if args.is_empty() {
        return Err(Status::invalid_argument("no command specified"));
    }
    Ok(args)
}

/// The image's variables under the pod's, each name once.
fn environment(config: &v1::ContainerConfig, image: &[String], host_name: &str) -> Vec<String> {
    let mut env = vec![PATH_DEFAULT.to_owned(), format!("HOSTNAME={host_name}")];
    if config.tty {
        env.push("TERM=xterm".into());
    }
    let pods = config.envs.iter().map(|one| format!("{}={}", one.key, one.value));
    for entry in image.iter().cloned().chain(pods) {
        let name = entry.split('=').next().unwrap_or_default().to_owned();
        let same = |known: &&mut String| known.split('=').next() == Some(name.as_str());
        match env.iter_mut().find(same) {
            Some(known) => *known = entry,
            None => env.push(entry),
        }
    }
    env
}

fn directory(config: &v1::ContainerConfig, image: Option<&str>) -> String {
    let chosen = if config.working_dir.is_empty() { image.unwrap_or_default() } else { &config.working_dir };
    if chosen.is_empty() { "/".into() } else { chosen.into() }
}

/// `user[:group]`; what the pod says wins over the image.
fn user(context: &v1::LinuxContainerSecurityContext, image: Option<&str>) -> Result<String, Status> {
    let named = Some(context.run_as_username.clone()).filter(|name| !name.is_empty());
    let user = context.run_as_user.map(|user| user.value.to_string()).or(named);
    match (user, context.run_as_group) {
        (Some(user), Some(group)) => Ok(format!("{user}:{}", group.value)),
        (Some(user), None) => Ok(user),
        (None, None) => Ok(image.unwrap_or_default().to_owned()),
        (None, Some(group)) => match image.unwrap_or_default().split(':').next().unwrap_or_default() {
            "" => Err(Status::invalid_argument("user group is specified without user")),
            user => Ok(format!("{user}:{}", group.value)),
        },
    }
}

/// The signal that asks the program to end: by name or number, SIGTERM when the image says nothing.
fn stop_signal(name: Option<&str>) -> Result<i32, Status> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(libc::SIGTERM) };
    if let Ok(number) = name.parse::<i32>() {
        return Ok(number);
    }
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    if let Some(offset) = full.strip_prefix("SIGRTMIN+").and_then(|offset| offset.parse::<i32>().ok()) {
        return Ok(libc::SIGRTMIN() + offset);
    }
    let signal: nix::sys::signal::Signal =
        full.parse().map_err(|_| Status::invalid_argument(format!("invalid stop signal {name:?}")))?;
    Ok(signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn commands_follow_the_rules_of_kubernetes() {
        let check = |command: &str, args: &str, expected: &str| {
            let config = v1::ContainerConfig { command: words(command), args: words(args), ..Default::default() };
            let image = (words("entry point"), words("image command"));
            assert_eq!(arguments(&config, Some(&image.0), Some(&image.1)).unwrap(), words(expected));
        };
        check("", "", "entry point image command");
        check("", "own args", "entry point own args");
        check("own", "", "own");
        check("own", "args", "own args");
        assert!(arguments(&v1::ContainerConfig::default(), None, None).is_err());
    }

    #[test]
    fn variables_of_the_pod_win() {
        let envs = vec![v1::KeyValue { key: "A".into(), value: "pod=1".into() }];
        let config = v1::ContainerConfig { envs, ..Default::default() };
        let env = environment(&config, &words("PATH=/x A=image B=2"), "h");
        assert_eq!(env, ["PATH=/x", "HOSTNAME=h", "A=pod=1", "B=2"]);
    }

    #[test]
    fn users_and_signals_are_understood() {
        let context = |user: Option<i64>, group: Option<i64>| v1::LinuxContainerSecurityContext {
            run_as_user: user.map(|value| v1::Int64Value { value }),
            run_as_group: group.map(|value| v1::Int64Value { value }),
            ..Default::default()
        };
        assert_eq!(user(&context(None, None), Some("web:data")).unwrap(), "web:data");
        assert_eq!(user(&context(Some(5), None), Some("web")).unwrap(), "5");
        assert_eq!(user(&context(Some(5), Some(6)), None).unwrap(), "5:6");
        assert_eq!(user(&context(None, Some(6)), Some("web:data")).unwrap(), "web:6");
        assert!(user(&context(None, Some(6)), None).is_err());
        let signals = [None, Some("SIGQUIT"), Some("quit"), Some("9"), Some("SIGRTMIN+3")];
        let numbers = signals.map(|name| stop_signal(name).unwrap());
        assert_eq!(numbers, [15, 3, 3, 9, libc::SIGRTMIN() + 3]);
        assert!(stop_signal(Some("SIGNONSENSE")).is_err());
    }
}
