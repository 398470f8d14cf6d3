//! The program `staticreg`.

fn main() -> std::process::ExitCode {
    staticreg::main()
}
