// The training of a selector or encoder: its loss by step, and what it was worth on the dev set at each look.
(() => {
  const place = document.getElementById("model-curve");
  const source = document.getElementById("model-curve-data");
  if (!place || !source) return;
  const curve = JSON.parse(source.textContent);

  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = (title) => ({
      title: { text: title }, gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true,
    });
    const traces = [
      {
        x: curve.steps, y: curve.losses, mode: curve.steps.length > 20 ? "lines" : "lines+markers", name: "training loss",
        line: { color: colour("--accent"), width: 2 }, hovertemplate: "loss %{y:.4f}<extra></extra>",
      },
    ];
    if (curve.validated.length) {
      traces.push({
        x: curve.validated, y: curve.validations, yaxis: "y2", mode: "lines+markers", name: "utility on dev",
        line: { color: colour("--good"), width: 2, dash: "dot" }, marker: { size: 8, symbol: "diamond" },
        hovertemplate: "utility on dev %{y:.4f}<extra></extra>",
      });
    }
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("--text") },
      margin: { l: 60, r: 60, t: 20, b: 60 }, xaxis: axis("optimizer step"), yaxis: axis("training loss"),
      yaxis2: { ...axis("utility on dev"), overlaying: "y", side: "right", showgrid: false, tickmode: "auto" },
      legend: { orientation: "h", y: 1.1 }, hovermode: "x unified", hoverlabel: { bgcolor: colour("--raised") },
    };
    Plotly.react(place, traces, layout, { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] });
  };
  draw();
  document.addEventListener("theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
