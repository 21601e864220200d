// The training loss of a run: the mean over users with its band, drawn anew where the theme changes.
(() => {
  const place = document.getElementById("loss-curve");
  const source = document.getElementById("loss-curve-data");
  if (!place || !source) return;
  const curve = JSON.parse(source.textContent);

  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = (title) => ({
      title: { text: title }, gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true,
    });
    const band = `${curve.band[0]}th to ${curve.band[1]}th percentile`;
    const traces = [
      { x: curve.steps, y: curve.low, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false },
      {
        x: curve.steps, y: curve.high, mode: "lines", line: { width: 0 }, fill: "tonexty",
        fillcolor: colour("--accent-soft"), hoverinfo: "skip", name: band,
      },
      {
        x: curve.steps, y: curve.mean, customdata: curve.counts.map((count, at) => [count, curve.low[at], curve.high[at]]),
        mode: curve.steps.length > 20 ? "lines" : "lines+markers", line: { color: colour("--accent"), width: 2 }, name: "mean",
        hovertemplate: "step %{x}: %{y:.4f}<br>%{customdata[1]:.4f} to %{customdata[2]:.4f}<br>%{customdata[0]} adapters<extra></extra>",
      },
    ];
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("--text") },
      margin: { l: 60, r: 20, t: 20, b: 60 }, xaxis: axis("optimizer step"), yaxis: axis("loss (nats a token)"),
      legend: { orientation: "h", y: 1.08 }, hovermode: "x unified", hoverlabel: { bgcolor: colour("--raised") },
    };
    Plotly.react(place, curve.adapters > 1 ? traces : traces.slice(2), layout, {
      responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"],
    });
  };
  draw();
  document.addEventListener("theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
