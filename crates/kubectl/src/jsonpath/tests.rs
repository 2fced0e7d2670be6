//! What each form of a template finds.

use super::Template;
use serde_json::{Value, json};

fn object() -> Value {
    json!({
        "kind": "List",
        "metadata": {"labels": {"app.kubernetes.io/name": "x"}, "n": 5, "ok": true, "none": null},
        "items": [
            {"name": "a", "size": 1, "on": true, "ports": [{"p": 80}, {"p": 81}]},
            {"name": "b", "size": 2, "on": false, "ports": []},
            {"name": "c", "size": 3, "tag": "t{}"},
        ],
    })
}

fn check(template: &str, expected: &str) {
    let found = Template::parse(template).and_then(|parsed| parsed.render(&object()));
    assert_eq!(found.unwrap_or_else(|error| panic!("{template}: {error}")), expected, "{template}");
}

#[test]
fn templates_find_what_upstream_finds() {
    for (template, expected) in [
        ("plain", "plain"),
        ("{.kind}", "List"),
        ("{$.kind}{@.kind}{ .kind }", "ListListList"),
        ("{['kind']}", "List"),
        ("{.items[0].name}", "a"),
        ("{.items[-1].name}", "c"),
        ("{.items[-1:].name}", "c"),
        ("{.items[0:2].name}", "a b"),
        ("{.items[::2].name}", "a c"),
        ("{.items[0,2].name}", "a c"),
        ("{.items[*].name}", "a b c"),
        ("{.items[*]['name','size']}", "a 1 b 2 c 3"),
        ("{.metadata['n', 'ok']}", "5 true"),
        ("{.items[*].ports[*].p}", "80 81"),
        ("{..name}", "a b c"),
        ("{.items[0].*}", "a true [{\"p\":80},{\"p\":81}] 1"),
        ("{.metadata.labels.app\\.kubernetes\\.io/name}", "x"),
        ("{.metadata.labels['app\\.kubernetes\\.io/name']}", "x"),
        ("{.metadata.labels}", "{\"app.kubernetes.io/name\":\"x\"}"),
        ("{.metadata.none}", "null"),
        ("{.gone.deeper}", ""),
        ("{.items[?(@.name==\"b\")].size}", "2"),
        ("{.items[?(@.name!='b')].size}", "1 3"),
        ("{.items[?(@.size>=2)].name}", "b c"),
        ("{.items[?(@.on==true)].name}", "a"),
        ("{.items[?(@.tag)].name}", "c"),
        ("{.items[?(@.tag==\"t{}\")].name}", "c"),
        ("{.items[?(@.ports[0].p==80)].name}", ""),
        ("{range .items[*]}{.name}{\"\\t\"}{.size}{\"\\n\"}{end}x", "a\t1\nb\t2\nc\t3\nx"),
        ("{range .items[0:1]}{range .ports[*]}{.p},{end};{end}", "80,81,;"),
        ("{range .gone[*]}never{end}", ""),
    ] {
        if template.contains("ports[0].p==80") {
            // Upstream stops at the list that has no first element.
            let error = Template::parse(template).unwrap().render(&object()).unwrap_err().to_string();
            assert!(error.contains("array index out of bounds: index 0, length 0"), "{error}");
            continue;
        }
        check(template, expected);
    }
}

#[test]
fn a_relaxed_path_needs_no_braces() {
    for path in ["metadata.n", ".metadata.n", "{.metadata.n}", "{metadata.n}"] {
        assert_eq!(Template::parse_relaxed(path).unwrap().find(&object()).unwrap(), [json!(5)], "{path}");
    }
    assert!(Template::parse_relaxed("{.a}{.b}").is_err());
}

#[test]
fn mistakes_are_named() {
    for (template, expected) in [
        ("{.items[0", "error: error parsing jsonpath {.items[0, unclosed action"),
        ("{.items[0}", "error: error parsing jsonpath {.items[0}, unterminated array"),
        ("{end}", "error: error parsing jsonpath {end}, not in range, nothing to end"),
        ("{nonsense}", "error: error parsing jsonpath {nonsense}, unrecognized identifier nonsense"),
        ("{.a[x]}", "error: error parsing jsonpath {.a[x]}, invalid array index x"),
        ("{*}", "error: error parsing jsonpath {*}, unrecognized character in action: U+002A '*'"),
    ] {
        assert_eq!(Template::parse(template).unwrap_err().report(), expected);
    }
    let error = |template: &str| Template::parse(template).unwrap().render(&object()).unwrap_err().to_string();
    assert!(error("{.items[9]}").contains("array index out of bounds: index 9, length 3"));
    assert!(error("{.kind[0]}").contains("string is not array or slice"));
    assert!(error("{.items[?(@.name==1)]}").contains("incompatible types for comparison"));
}

#[test]
fn json_output_is_a_list() {
    let template = Template::parse("{.items[*].size}").unwrap();
    assert_eq!(template.render_json(&object()).unwrap(), "[\n    1,\n    2,\n    3\n]\n");
}
