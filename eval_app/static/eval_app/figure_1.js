// Draws the panels of Figure 1 from the data in the page, in the colours of the theme.
(() => {
  const data = JSON.parse(document.getElementById("figure-1-data").textContent);
  const most = Math.max(1, ...data.flatMap((panel) => panel.marks.map((mark) => mark[2])));
  const WORDS = { 1: "better", 0: "the same", "-1": "worse" };
  const column = (rows, at) => rows.map((row) => row[at]);
  const users = (count) => `${count.toLocaleString("en")} user${count === 1 ? "" : "s"}`;

  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const ink = { peft: colour("--accent"), rag: colour("--warn") };
    for (const place of document.querySelectorAll("[data-panel]")) {
      const panel = data[Number(place.dataset.panel)];
      const own = ink[panel.family];
      const traces = [];
      if (panel.line) {
        const { x, y, low, high } = panel.line;
        traces.push(
          { x, y: low, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false },
          { x, y: high, mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: `${own}33`, name: "95 % interval", hoverinfo: "skip" },
          { x, y, mode: "lines", line: { color: own, width: 3 }, name: "regression", hovertemplate: "size %{x:.0f}: %{y:.2f}<extra></extra>" },
        );
      }
      traces.push({
        x: column(panel.marks, 0),
        y: column(panel.marks, 1),
        mode: "markers",
        name: "users",
        text: panel.marks.map(([size, direction, count]) => `${users(count)} ${WORDS[direction]}<br>profile size about ${size}`),
        hovertemplate: "%{text}<extra></extra>",
        marker: {
          color: own,
          opacity: 0.5,
          size: panel.marks.map((mark) => 6 + 20 * Math.sqrt(mark[2] / most)),
          symbol: panel.marks.map((mark) => (mark[1] === 0 ? "circle-open" : "circle")),
        },
      });
      traces.push({
        x: column(panel.means, 0),
        y: column(panel.means, 1),
        mode: "markers",
        name: "mean of those who changed",
        text: panel.means.map(([size, , count]) => `${users(count)}, profile size about ${size}`),
        hovertemplate: "%{text}<br>mean %{y:.2f}<extra></extra>",
        marker: { color: colour("--text"), size: 6, symbol: "diamond" },
      });
      const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
      Plotly.react(
        place,
        traces,
        {
          paper_bgcolor: colour("--surface"),
          plot_bgcolor: colour("--surface"),
          font: { color: colour("--text"), family: style.fontFamily },
          margin: { l: 70, r: 15, t: 15, b: 50 },
          xaxis: { ...axis, title: { text: "profile size (documents)" } },
          yaxis: { ...axis, range: [-1.35, 1.35], tickvals: [-1, 0, 1], ticktext: ["−1 worse", "0 same", "+1 better"] },
          legend: { orientation: "h", y: -0.22 },
          hovermode: "closest",
        },
        { responsive: true, displaylogo: false },
      );
    }
  };
  draw();
  document.addEventListener("theme", draw);
})();
