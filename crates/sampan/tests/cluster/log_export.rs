//! Logs sent to receivers outside of the cluster: every line arrives, each container's in order, whoever was killed or
//! away meanwhile.

use crate::harness::{Cluster, Machine, possible};
use crate::image;
use crate::restarts::{kill_9, ready_again};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Writes numbers until it is told to end, and then how many: that many were written, or one more.
fn writer(node: &str) -> String {
    let script = "i=0; trap 'echo \\\"<last $i>\\\"; exit 0' TERM; \
                  while :; do for k in 1 2 3 4 5; do echo \\\"<$((i+1))>\\\"; i=$((i+1)); done; sleep 0.05; done";
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{ name: writer-{node} }}
spec:
  nodeName: {node}
  containers:
  - {{ name: main, image: user-center:v1.0, command: [sh, -c, \"{script}\"] }}
---
"
    )
}

/// What came from one machine.
#[derive(Clone, Debug, Default)]
struct Came {
    /// What its containers wrote between `<` and `>`, in the order in which it came.
    words: Vec<String>,
    /// How often it came in vain.
    turned_away: usize,
}

#[derive(Default)]
struct State {
    is_away: bool,
    from: BTreeMap<IpAddr, Came>,
}

/// A receiver of OTLP and Loki in a machine of the test. Away, it breaks every connection off unheard.
struct Receiver {
    state: Arc<Mutex<State>>,
    url: String,
}

impl Receiver {
    fn start(machine: &Machine) -> Receiver {
        let listener = machine.within(|| TcpListener::bind((machine.address.as_str(), 0)).unwrap());
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { is_away: true, ..State::default() }));
        let own = state.clone();
        // Ends with the test's process: it waits in `accept`, and nobody is told of what it says.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), own.clone());
                std::thread::spawn(move || while serve(&stream, &state).is_some() {});
            }
        });
        Receiver { state, url }
    }

    fn set_away(&self, is_away: bool) {
        let mut state = self.state.lock().unwrap();
        state.is_away = is_away;
        state.from.values_mut().for_each(|came| came.turned_away = 0);
    }

    fn came(&self, machine: &Machine) -> Came {
        self.state.lock().unwrap().from.get(&machine.address.parse().unwrap()).cloned().unwrap_or_default()
    }

    /// Waits for something to have come from every machine.
    fn until(&self, cluster: &Cluster, what: &str, is: impl Fn(&Came) -> bool) {
        for machine in &cluster.machines {
            machine.until(what, |machine| {
                let came = self.came(machine);
                let last = || format!("{} words, at last {:?}", came.words.len(), came.words.last());
                if is(&came) { Ok(()) } else { Err(format!("{}: {}", machine.name, last())) }
            });
        }
    }
}

/// One request of a connection; none when it has ended, or been broken off.
fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let peer = stream.peer_addr().ok()?.ip();
    let mut reader = BufReader::new(stream);
    let (mut line, mut head) = (String::new(), Vec::new());
    while reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0).is_some() && !line.trim().is_empty() {
        head.push(std::mem::take(&mut line).trim().to_ascii_lowercase());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if head[0].starts_with("post /loki/api/v1/push ") {
        body = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    } else {
        assert!(head[0].starts_with("post /v1/logs "), "{head:?}");
        assert!(head.iter().any(|line| line == "content-encoding: gzip"), "{head:?}");
        let zipped = std::mem::take(&mut body);
        flate2::read::GzDecoder::new(&*zipped).read_to_end(&mut body).unwrap();
    }
    let mut state = state.lock().unwrap();
    let is_away = state.is_away;
    let came = state.from.entry(peer).or_default();
    if is_away {
        came.turned_away += 1;
        return None;
    }
    // Both protocols have texts as they are.
    let text = String::from_utf8_lossy(&body);
    came.words.extend(text.split('<').skip(1).filter_map(|rest| Some(rest.split_once('>')?.0.to_owned())));
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn last(came: &Came) -> Option<usize> {
    came.words.iter().find_map(|word| word.strip_prefix("last ")?.parse().ok())
}

/// Numbers without those that came before: from 1 on, none left out.
fn assert_whole(node: &str, came: &Came) {
    let mut seen = BTreeSet::new();
    let numbers = came.words.iter().filter_map(|word| word.parse::<usize>().ok());
    let first_come: Vec<usize> = numbers.filter(|number| seen.insert(*number)).collect();
    let wrong = first_come.iter().zip(1..).position(|(came, due)| *came != due);
    let around = wrong.map(|at| &first_come[at.saturating_sub(3)..(at + 3).min(first_come.len())]);
    assert_eq!(around, None, "{node}: lines are missing or out of order");
    let last = last(came).unwrap();
    assert!(first_come.len() >= last, "{node}: {} lines of {last} came", first_come.len());
    eprintln!("{node}: {last} lines written, {} came", came.words.len() - 1);
}

#[test]
fn every_line_reaches_its_receiver_whoever_is_killed_or_away() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(2);
    let first = cluster.first();
    let receiver = Receiver::start(first);
    first.up(&["--log-export-url", &receiver.url, "--log-export-gzip"]);
    cluster.join(1, &["--log-export-url", &receiver.url, "--log-export-protocol", "loki"]);
    cluster.machines.iter().for_each(|machine| image::import(machine, "v1.0"));
    first.apply(&cluster.machines.iter().map(|machine| writer(&machine.name)).collect::<String>());
    receiver.until(&cluster, "lines wait for their receiver", |came| came.turned_away > 1);
    receiver.set_away(false);
    receiver.until(&cluster, "what waited comes", |came| came.words.len() > 100);

    // Whoever reads and sends is killed in the middle of it, and finds nobody when it is back.
    for role in ["node", "server"] {
        let roles = cluster.machines.iter().filter(|machine| role == "node" || machine.name == first.name);
        let killed: Vec<&Machine> = roles.filter(|machine| kill_9(machine, role).is_some()).collect();
        receiver.set_away(true);
        killed.iter().for_each(|machine| ready_again(machine, role, 1));
    }
    receiver.until(&cluster, "the killed come again", |came| came.turned_away > 0);
    receiver.set_away(false);
    let before = cluster.machines.iter().map(|machine| receiver.came(machine).words.len()).max().unwrap();
    receiver.until(&cluster, "lines come again", |came| came.words.len() > before + 100);

    // A pod's last words, which only the node's archive has by then.
    receiver.set_away(true);
    first.kubectl("delete pod writer-n0 writer-n1 --wait=true");
    receiver.until(&cluster, "last words wait", |came| came.turned_away > 0);
    receiver.set_away(false);
    receiver.until(&cluster, "last words come", |came| last(came).is_some());
    cluster.machines.iter().for_each(|machine| assert_whole(&machine.name, &receiver.came(machine)));
    cluster.finish();
}
