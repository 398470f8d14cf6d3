//! README.md lists every setting with its default.

use std::{fs, path::Path};

use super::Setting;

const BEGIN: &str = "<!-- settings: begin -->\n";
const END: &str = "<!-- settings: end -->";

fn table() -> String {
    let code = |text: &str| format!("`{text}`");
    let rows = Setting::all().map(|setting| {
        let default = setting.default.filter(|default| !default.is_empty()).map(code).unwrap_or_default();
        format!("| `{}` | {default} | {} |\n", setting.variable(), setting.description().replace('|', "\\|"))
    });
    format!("| variable | default | what it does |\n| --- | --- | --- |\n{}", rows.collect::<String>())
        .replace("|  |", "| |")
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(&file).expect("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
    let (listed, after) = rest.split_once(END).expect("the table ends");
    if listed == table() {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_README").is_some(),
        "the table of settings in README.md is old: UPDATE_README=1 cargo test -p staticreg readme"
    );
    fs::write(file, [before, BEGIN, &table(), END, after].concat()).expect("README.md can be written");
}
