//! What goes into and comes out of a running container: logs, commands, terminals, files.

use super::{Client, with_each_client};
use crate::harness::said;
use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};

#[test]
fn pods_are_run_read_and_entered() {
    with_each_client(|client| {
        run_and_logs(client);
        logs_follow(client);
        logs_of_the_previous_container(client);
        for client in [client, &client.over_spdy()] {
            exec_with_input(client);
            a_failure_is_told_while_input_is_sent(client);
            exec_with_a_terminal(client);
            attach_with_a_terminal(client);
            attach_with_input(client);
            copy(client);
        }
        wait_and_events(client);
        client.ok("delete pods --all --grace-period=0 --force");
    });
}

/// A pod that writes what it is told to, then stays.
fn run_and_logs(client: &Client<'_>) {
    let script = "echo one; echo two; echo three; exec sleep 3600";
    let created = client.ok_args(&["run", "box", "--image=user-center:v1.0", "--", "sh", "-c", script]);
    assert_eq!(created, "pod/box created\n");
    assert_eq!(client.ok("wait --for=condition=Ready pod/box --timeout=120s"), "pod/box condition met\n");
    client.until("logs box", "one\ntwo\nthree\n");
    assert_eq!(client.ok("logs box --tail=1"), "three\n");
    assert_eq!(client.ok("logs box --tail=0"), "");
    assert_eq!(client.ok("logs box --since=1h"), "one\ntwo\nthree\n");
    assert_eq!(client.ok("logs box --since-time=2999-01-01T00:00:00Z"), "");
    assert_eq!(client.ok("logs box --limit-bytes=5"), "one\nt");
    assert_eq!(client.ok("logs -l run=box --prefix --tail=1"), "[pod/box/box] three\n");
    let stamped = client.ok("logs box --timestamps --tail=1");
    let (stamp, text) = stamped.split_once(' ').unwrap();
    assert_eq!(text, "three\n");
    assert_eq!((stamp.len(), &stamp[10..11], &stamp[stamp.len() - 1..]), (30, "T", "Z"), "{stamp}");
    let attached = client.ok_args(&[
        "run",
        "once",
        "--image=user-center:v1.0",
        "--restart=Never",
        "--rm",
        "-i",
        "--quiet",
        "--",
        "sh",
        "-c",
        "sleep 0.5; echo hi",
    ]);
    assert_eq!(attached, "hi\n");
}

fn logs_follow(client: &Client<'_>) {
    let mut follow = client.command(&["logs", "-f", "box", "--tail=1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "three");
    client.ok_args(&["exec", "box", "--", "sh", "-c", "echo four >/proc/1/fd/1"]);
    assert_eq!(lines.next().unwrap().unwrap(), "four", "what is written later arrives");
    follow.kill().unwrap();
    follow.wait().unwrap();
    // Of a container that ends, the stream ends.
    client.ok_args(&[
        "run",
        "ends",
        "--image=user-center:v1.0",
        "--restart=Never",
        "--",
        "sh",
        "-c",
        "sleep 0.5; echo end",
    ]);
    client.ok("wait --for=condition=Ready pod/ends --timeout=120s");
    assert_eq!(client.ok("logs -f ends"), "end\n");
}

fn logs_of_the_previous_container(client: &Client<'_>) {
    let none = "previous terminated container \"box\" in pod \"box\" not found";
    assert_eq!(client.fails(1, "logs box --previous"), format!("Error from server (BadRequest): {none}\n"));
    let script = "if [ -e /tmp/again/x ]; then echo second; exec sleep 3600; fi; mkdir -p /tmp/again; : >/tmp/again/x; echo first; exit 3";
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: twice}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
         - name: twice\n    image: user-center:v1.0\n    command: [sh, -c, '{script}']\n    \
         volumeMounts: [{{name: v, mountPath: /tmp/again}}]\n  volumes: [{{name: v, emptyDir: {{}}}}]\n"
    );
    client.file("twice.yaml", &pod);
    client.ok("apply -f twice.yaml");
    client.until("get pod twice -o jsonpath={.status.containerStatuses[0].restartCount}", "1");
    client.until("logs twice", "second\n");
    assert_eq!(client.ok("logs twice --previous"), "first\n");
}

fn with_input(command: &mut std::process::Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn exec_with_input(client: &Client<'_>) {
    let input = "a line\n".repeat(100_000);
    let output = with_input(&mut client.command(&["exec", "-i", "box", "--", "cat"]), &input);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout == input.as_bytes(), "{} of {} bytes came back", output.stdout.len(), input.len());
    let counted = with_input(
        &mut client.command(&["exec", "-i", "box", "--", "sh", "-c", "cat >/tmp/in; busybox wc -c </tmp/in"]),
        "12345",
    );
    assert_eq!(String::from_utf8_lossy(&counted.stdout), "5\n", "the end of the input arrives: {}", said(&counted));
    let failed = client.try_args(&["exec", "box", "--", "sh", "-c", "exit 7"]);
    assert_eq!(failed.status.code(), Some(7), "{}", said(&failed));
    let missing = client.try_args(&["exec", "box", "--", "nonsense"]);
    assert!(!missing.status.success(), "{}", said(&missing));
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("\"nonsense\": executable file not found in $PATH"),
        "{}",
        said(&missing)
    );
    // The newer client sees it itself, the older one is told by the server.
    let refused = client.fails(1, "exec box -c other -- true");
    assert!(refused.contains("container other is not valid for pod box"), "{refused}");
}

/// Who still sends input when there is nothing to run hears why, every time.
fn a_failure_is_told_while_input_is_sent(client: &Client<'_>) {
    let input = "a line\n".repeat(50_000);
    for _ in 0..5 {
        let mut child = client.command(&["exec", "-i", "box", "--", "nonsense"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The client may have ended before it has read all.
        let sent = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.contains("executable file not found in $PATH"),
            "{sent:?}: {}",
            said(&output)
        );
    }
}

/// Runs a client on a terminal of 40 rows and 100 columns.
fn on_a_terminal(client: &Client<'_>, arguments: &str, input: &str) -> Output {
    let line = format!("stty rows 40 cols 100; exec '{}' {arguments}", client.program().display());
    let mut command = client.command(&[]);
    let environment: Vec<_> =
        command.get_envs().map(|(key, value)| (key.to_owned(), value.unwrap().to_owned())).collect();
    command = client.machine.inside("script");
    command.args(["-qec", &line, "/dev/null"]).envs(environment);
    with_input(&mut command, input)
}

fn attach_with_a_terminal(client: &Client<'_>) {
    client.file(
        "typed.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: typed}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: a\n    \
         image: user-center:v1.0\n    stdin: true\n    tty: true\n    \
         command: [sh, -c, 'read line; echo got $line; until [ \"$(busybox stty size)\" = \"40 100\" ]; \
         do sleep 0.1; done; echo sized; exit 3']\n",
    );
    client.ok("apply -f typed.yaml");
    client.ok("wait --for=condition=Ready pod/typed --timeout=120s");
    let output = on_a_terminal(client, "attach -it typed", "typed\n");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(text.contains("got typed\n") && text.contains("sized\n"), "{}", said(&output));
    client.until("get pod typed -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}", "3");
    client.ok("delete pod typed");
}

/// Without a terminal, to the container that is meant where none is named.
fn attach_with_input(client: &Client<'_>) {
    client.file(
        "talk.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: talk}\nspec:\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: a\n    image: user-center:v1.0\n    stdin: true\n    \
         command: [sh, -c, 'read line; echo got $line']\n  - name: b\n    image: user-center:v1.0\n    \
         command: [sleep, '3600']\n",
    );
    client.ok("apply -f talk.yaml");
    client.ok("wait --for=condition=Ready pod/talk --timeout=120s");
    let output = with_input(&mut client.command(&["attach", "-i", "talk", "--pod-running-timeout=2m"]), "words\n");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got words\n", "{}", said(&output));
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert!(remarks.contains("Defaulted container \"a\" out of: a, b"), "{remarks}");
    client.until("get pod talk -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}", "0");
    client.ok("delete pod talk");
}

fn exec_with_a_terminal(client: &Client<'_>) {
    let inner = "busybox tty; read line; echo got $line; until [ \"$(busybox stty size)\" = \"40 100\" ]; do sleep 0.1; done; echo sized; exit 5";
    let output = on_a_terminal(client, &format!("exec -it box -- sh -c '{inner}'"), "typed\n");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(text.contains("/dev/pts/0\n"), "{text:?}");
    assert!(text.contains("got typed\n") && text.contains("sized\n"), "{text:?}");
}

fn copy(client: &Client<'_>) {
    let text = "what is copied\n".repeat(20_000);
    client.file("there.txt", &text);
    client.ok("cp there.txt box:/tmp/there.txt");
    assert_eq!(client.ok("exec box -- busybox wc -c /tmp/there.txt"), format!("{} /tmp/there.txt\n", text.len()));
    client.ok("cp box:/tmp/there.txt back.txt");
    assert!(client.read("back.txt") == text, "the copy differs");
}

fn wait_and_events(client: &Client<'_>) {
    assert_eq!(
        client.ok("wait --for=jsonpath={.status.phase}=Running pod/box --timeout=5s"),
        "pod/box condition met\n"
    );
    let late = client.fails(1, "wait --for=condition=Nonsense pod/box --timeout=1s");
    assert_eq!(late, "error: timed out waiting for the condition on pods/box\n");
    let events = client.ok("events --for=pod/box --no-headers");
    for reason in ["Scheduled", "Pulled", "Created", "Started"] {
        assert!(events.lines().any(|line| line.contains(&format!(" {reason} "))), "{reason} is not in\n{events}");
    }
    let listed = client
        .ok("get events --field-selector=involvedObject.name=box,reason=Scheduled -o jsonpath={.items[*].message}");
    assert!(listed.starts_with("Successfully assigned with-") && listed.ends_with("/box to n0"), "{listed}");
    let mut gone =
        client.command(&["wait", "--for=delete", "pod/ends", "--timeout=120s"]).stdout(Stdio::null()).spawn().unwrap();
    client.ok("delete pod ends");
    assert!(gone.wait().unwrap().success(), "who waits for the deletion is told");
}
