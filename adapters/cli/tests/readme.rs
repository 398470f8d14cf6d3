//! README.md lists every setting with its default.

use std::{fs, path::Path};

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Variable and default of each setting, in the order of the defaults' file; a setting without one is commented out.
fn settings() -> Vec<(String, String)> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in file("src/defaults.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_uppercase();
        } else if let Some((key, value)) = line.trim_start_matches("# ").split_once(" = ") {
            let default = if line.starts_with('#') || value == "[]" { "" } else { value.trim_matches('"') };
            settings.push((format!("STATICREG_{section}_{}", key.to_uppercase()), default.to_owned()));
        }
    }
    settings
}

/// The same of the table in README.md.
fn table() -> Vec<(String, String)> {
    let readme = file("../../README.md");
    let table =
        readme.split_once("<!-- settings: begin -->").and_then(|(_, rest)| rest.split_once("<!-- settings: end"));
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let rows = table.expect("the table of settings").0.lines().filter(|line| line.starts_with("| `STATICREG_"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        (cell(cells[1]), cell(cells[2]))
    })
    .collect()
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    assert!(settings().len() > 20, "{:?}", settings());
    assert_eq!(table(), settings());
}
