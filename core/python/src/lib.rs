//! The extension module `zcontrol._core`: exports, conversions and one error mapping. Logic lives in `zproxy-proxy`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use zproxy_proxy::Server;
use zproxy_proxy::config::Invalid;
use zproxy_proxy::server::Setup;

/// Sessions allocate small and long-lived things after a handshake's peak: jemalloc gives the peak back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

create_exception!(_core, EdgeError, PyException, "The data plane refused a config or is not running.");

/// The data plane of zproxy.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::{Edge, EdgeError, check};
}

/// A running data plane.
#[pyclass(frozen, module = "zcontrol._core")]
struct Edge {
    server: Mutex<Option<Server>>,
}

#[pymethods]
impl Edge {
    /// Starts the data plane from a serialized `zcontrol.v1.Config`; returns when all listeners accept.
    #[staticmethod]
    fn start(py: Python<'_>, config: &[u8]) -> PyResult<Self> {
        let server = py.detach(|| Server::start(config)).map_err(refused)?;
        Ok(Self { server: Mutex::new(Some(server)) })
    }

    /// Name, protocol and `address:port` of each listener, as bound.
    fn listeners(&self, py: Python<'_>) -> PyResult<Vec<(String, String, String)>> {
        self.with(py, |server| {
            let text = |(name, service, address): (std::sync::Arc<str>, &str, std::net::SocketAddr)| {
                (name.as_ref().to_owned(), service.to_owned(), address.to_string())
            };
            server.listeners().into_iter().map(text).collect()
        })
    }

    /// Takes a new config into force without touching a session; on `EdgeError` the old one stays.
    fn reload(&self, py: Python<'_>, config: &[u8]) -> PyResult<()> {
        self.with(py, |server| server.reload(config))?.map_err(refused)
    }

    /// Ends the data plane: sessions are told goodbye in a quiet moment, or cut after the timeout. Returns how many
    /// there were.
    fn stop(&self, py: Python<'_>, timeout_seconds: f64) -> PyResult<usize> {
        let patience = Duration::try_from_secs_f64(timeout_seconds)
            .map_err(|error| EdgeError::new_err(format!("timeout_seconds: {error}")))?;
        py.detach(|| {
            let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
            server.map(|server| server.stop(patience))
        })
        .ok_or_else(stopped)
    }

    /// The edge's counters in the Prometheus text format.
    fn metrics(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        self.with(py, |server| server.metrics().into_bytes())
    }
}

impl Edge {
    fn with<T: Send>(&self, py: Python<'_>, use_it: impl FnOnce(&Server) -> T + Send) -> PyResult<T> {
        py.detach(|| {
            let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
            server.as_ref().map(use_it)
        })
        .ok_or_else(stopped)
    }
}

/// Checks a serialized `zcontrol.v1.Config` and the files it names: pairs of key and what is wrong with it.
#[pyfunction]
fn check(py: Python<'_>, config: &[u8]) -> Vec<(String, String)> {
    let faults = py.detach(|| Setup::load(config).err()).unwrap_or_default();
    faults.into_iter().map(|fault| (fault.key, fault.problem)).collect()
}

fn refused(faults: Vec<Invalid>) -> PyErr {
    EdgeError::new_err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn stopped() -> PyErr {
    EdgeError::new_err("the data plane has been stopped")
}
