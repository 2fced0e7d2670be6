//! Templates as scripts have them, and what they print.

use super::Template;
use serde_json::json;

fn check(template: &str, expected: &str) {
    let object = json!({
        "kind": "List", "n": 3, "f": 1.5, "yes": true, "secret": "aGVsbG8=", "m": {"b": "2", "a": "1", "x-y": "z"},
        "items": [{"name": "one", "tags": ["a", "b"]}, {"name": "two"}],
    });
    let parsed = Template::parse(template).unwrap();
    assert_eq!(parsed.render(&object).unwrap(), expected, "{template}");
}

#[test]
fn actions_print_what_go_prints() {
    for (template, expected) in [
        ("a{{.kind}}b{{/* no */}}", "aListb"),
        ("{{range .items}}{{.name}}\n{{end}}", "one\ntwo\n"),
        ("{{range $i, $e := .items}}{{$i}}={{$e.name}} {{end}}", "0=one 1=two "),
        ("{{range $k, $v := .m}}{{$k}}{{$v}}{{end}}", "a1b2x-yz"),
        ("{{range .gone}}x{{else}}none{{end}}", "none"),
        ("{{range $i := 3}}{{$i}}{{end}}{{range -1}}x{{else}}none{{end}}", "012none"),
        ("{{if .yes}}y{{else}}n{{end}}{{if .gone}}y{{else if eq .n 3}}three{{else}}n{{end}}", "ythree"),
        ("{{with .m}}{{.a}}{{$.n}}{{end}}", "13"),
        ("{{.gone}} {{.m}} {{.items}}", "<no value> map[a:1 b:2 x-y:z] [map[name:one tags:[a b]] map[name:two]]"),
        ("{{index .m \"x-y\"}} {{(index .items 0).name}} {{index .items 0 \"tags\" 1}}", "z one b"),
        ("{{.secret | base64decode | printf \"%-7s|%q\" \"x\"}}", "x      |\"hello\""),
        ("{{printf \"%s %d %v %.1f %05d\" .kind .n .yes .f 42}}", "List 3 true 1.5 00042"),
        ("{{len .items}} {{not .yes}} {{and .yes .n}} {{or .gone \"d\"}}", "2 false 3 d"),
        ("{{$x := 1}}{{if .yes}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .kind}}", "<List>"),
        ("x  {{- .n -}}  y", "x3y"),
        ("{{range .items}}{{if eq .name \"two\"}}{{break}}{{end}}{{.name}}{{end}}", "one"),
        ("{{if exists .m \"a\"}}y{{end}}{{if exists .m \"q\"}}n{{end}}", "y"),
        ("{{print 1 2 \"a\" 3}} {{html \"<a>\"}} {{urlquery \"a b\"}} {{`raw`}}", "1 2a3 &lt;a&gt; a+b raw"),
        ("{{lt 1 2}} {{ge \"b\" \"a\"}} {{ne 1 2}} {{eq \"a\" \"b\" \"a\"}}", "true true true true"),
    ] {
        check(template, expected);
    }
}

#[test]
fn mistakes_are_named() {
    let failed = |template: &str| match Template::parse(template) {
        Ok(parsed) => parsed.strict().render(&json!({"a": "b"})).unwrap_err().report(),
        Err(failure) => failure.report(),
    };
    for (template, expected) in [
        ("{{.a", "unclosed action"),
        ("{{if .a}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nope .a}}", "function \"nope\" not defined"),
        ("{{.gone}}", "map has no entry for key \"gone\""),
        ("{{.a.b}}", "can't evaluate field b in type string"),
        ("{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}", "exceeded maximum template depth (100)"),
        ("{{index .a 5}}", "can't index item"),
        ("{{range 1000000000000000000}}{{end}}", "a template may count to 100000 in all"),
        ("{{range 400}}{{range 400}}{{end}}{{end}}", "a template may count to 100000 in all"),
    ] {
        let report = failed(template);
        assert!(report.ends_with(expected), "{template}: {report}");
    }
}
