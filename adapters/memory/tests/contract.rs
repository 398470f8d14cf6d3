//! The store in memory keeps the contract.

use std::sync::Arc;

use staticreg_contract::{Subject, contract_suite};
use staticreg_memory::MemoryMetrics;

async fn subject() -> Subject {
    let store = Arc::new(MemoryMetrics::new(1_000_000));
    Subject { second: store.clone(), store, home: Box::new(()) }
}

contract_suite!(subject);

mod running {
    use std::sync::Arc;

    use staticreg_contract::{running::Subject, running_suite};
    use staticreg_memory::MemoryRunning;

    async fn subject() -> Subject {
        let running = Arc::new(MemoryRunning::default());
        Subject { second: running.clone(), running, home: Box::new(()) }
    }

    running_suite!(subject);
}
