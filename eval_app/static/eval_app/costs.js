// The plot of quality against cost: a symbol for each family, and the front as a line.
document.addEventListener("DOMContentLoaded", () => {
  const holder = document.getElementById("cost-plot");
  const source = document.getElementById("cost-data");
  if (!holder || !source) return;
  const data = JSON.parse(source.textContent);
  const symbols = ["circle", "square", "diamond", "triangle-up", "x"];
  // Apart from each other for most colour-blind eyes, on light and on dark ground.
  const colours = { light: ["#5b6470", "#0a62b0", "#b0480a", "#7a3fa0", "#1b7a4b"], dark: ["#aab3c0", "#6db3ff", "#ffab6b", "#d0a2f2", "#7fd8a0"] };

  const traces = (dark) => {
    const palette = colours[dark ? "dark" : "light"];
    const families = [...new Set(data.points.map((point) => point.family))];
    const drawn = families.map((family, at) => {
      const points = data.points.filter((point) => point.family === family);
      return {
        type: "scatter", mode: "markers", name: family, cliponaxis: false,
        x: points.map((point) => point.cost), y: points.map((point) => point.quality),
        text: points.map((point) => point.title + (point.onFront ? ", on the front" : "") + (point.note ? `<br>${point.note}` : "")),
        hovertemplate: "%{text}<br>%{x:.4~g}, %{y:.4~g}<extra></extra>",
        marker: {
          size: 12, symbol: points.map((point) => symbols[at % symbols.length] + (point.note ? "-open" : "")),
          color: palette[at % palette.length], line: { width: 1.5, color: palette[at % palette.length] },
        },
      };
    });
    const front = data.front.map((key) => data.points.find((point) => point.key === key));
    if (front.length > 0) {
      drawn.push({
        type: "scatter", mode: "lines", name: "Front", hoverinfo: "skip",
        x: front.map((point) => point.cost), y: front.map((point) => point.quality),
        line: { shape: "hv", dash: "dot", width: 2, color: dark ? "#e6e9ef" : "#1c2330" },
      });
    }
    return drawn;
  };

  const draw = () => {
    const dark = window.lamppost.isDark();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
    window.Plotly.react(holder, traces(dark), {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("--text"), family: "system-ui, sans-serif" },
      margin: { t: 20, r: 20, b: 60, l: 70 }, legend: { orientation: "h", y: -0.25 }, hovermode: "closest",
      xaxis: { ...axis, title: { text: data.cost }, rangemode: "tozero" },
      yaxis: { ...axis, title: { text: data.quality }, autorange: data.higherIsBetter ? true : "reversed" },
    }, { responsive: true, displaylogo: false });
  };
  draw();
  document.addEventListener("theme", draw);
});
